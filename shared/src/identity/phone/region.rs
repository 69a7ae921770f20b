//! Countries and territories that have telephone numbers of their own.

use std::fmt;

/// Every region that libphonenumber knows numbers of. Asking it would load its metadata, and settings are read while a
/// function starts.
pub(super) const REGIONS: &str = "\
    AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA CC CD \
    CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE \
    GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN \
    KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ \
    NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH \
    SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG \
    VI VN VU WF WS XK YE YT ZA ZM ZW";

/// A country or territory with telephone numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(pub(super) rlibphonenumber::Region);

impl Region {
    /// From its two letters (ISO 3166-1 alpha-2), in capitals or not.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(code: &str) -> Result<Self, String> {
        let code = code.to_ascii_uppercase();
        let known = REGIONS.split_ascii_whitespace().any(|region| region == code);
        let region = rlibphonenumber::Region::from_code(&code).ok().filter(|_| known);
        region.map(Self).ok_or_else(|| {
            "must be the two letters of a country (ISO 3166-1 alpha-2), such as DE, US or, for the United Kingdom, GB"
                .into()
        })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
