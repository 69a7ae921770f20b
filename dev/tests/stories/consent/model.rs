//! Who may be uploaded, in a few lines and without a database.

use shared::consent::{Consent, ConsentStatus};
use testing::Chance;
use uuid::Uuid;

/// The browser of each lead's form; the third has none of its cookies, and the deal knows it by its phone.
pub const BROWSER: [Option<usize>; 3] = [Some(0), Some(1), None];

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Lead(usize),
    Browser(usize),
    Crm,
    Operator(usize),
}

/// What the model knows of a person.
#[derive(Clone, Debug, Default)]
pub struct Person {
    statements: Vec<(Speaker, Consent)>,
    pub leads: [Option<Uuid>; 3],
    /// What the rows of the leads say.
    rows: [Consent; 3],
    /// What the rows of the browsers say, and what the CRM said last.
    banners: [Consent; 2],
    crm: Consent,
    pub has_deal: bool,
}

impl Person {
    /// The rule: a no counts until the same lead or browser, the CRM or the operator says yes. A browser is the
    /// person's once one of their forms came from it.
    fn decision(&self, purpose: fn(&Consent) -> ConsentStatus) -> ConsentStatus {
        let is_theirs = |speaker: Speaker| match speaker {
            Speaker::Browser(it) => BROWSER.iter().zip(&self.leads).any(|(of, id)| *of == Some(it) && id.is_some()),
            _ => true,
        };
        let said = self.statements.iter().filter(|(speaker, _)| is_theirs(*speaker));
        let said: Vec<_> = said.map(|(speaker, consent)| (*speaker, purpose(consent))).collect();
        let lifts = |yes: Speaker, no: Speaker| match (yes, no) {
            (Speaker::Crm | Speaker::Operator(_), _) => true,
            (Speaker::Lead(yes), Speaker::Lead(no) | Speaker::Operator(no))
            | (Speaker::Browser(yes), Speaker::Browser(no)) => yes == no,
            (Speaker::Lead(lead), Speaker::Browser(it)) | (Speaker::Browser(it), Speaker::Lead(lead)) => {
                BROWSER[lead] == Some(it)
            }
            (Speaker::Lead(_) | Speaker::Browser(_), _) => false,
        };
        let stands = |nth: usize, no: Speaker| {
            !said[nth + 1..].iter().any(|(yes, said)| *said == ConsentStatus::Granted && lifts(*yes, no))
        };
        if said.iter().enumerate().any(|(nth, (no, said))| *said == ConsentStatus::Denied && stands(nth, *no)) {
            ConsentStatus::Denied
        } else if said.iter().any(|(_, said)| *said == ConsentStatus::Granted) {
            ConsentStatus::Granted
        } else {
            ConsentStatus::Unknown
        }
    }

    pub fn consent(&self) -> Consent {
        Consent {
            ad_user_data: self.decision(|it| it.ad_user_data),
            ad_personalization: self.decision(|it| it.ad_personalization),
        }
    }

    fn says(&mut self, speaker: Speaker, consent: Consent) {
        self.statements.push((speaker, consent));
    }
}

/// What happens to a person.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Visit(usize, Consent),
    /// With Global Privacy Control.
    PrivateVisit(usize),
    Banner(usize, Consent),
    /// A lead's form; later ones are the site's, which changes the lead's row.
    Form(usize, Consent),
    Deal(Consent),
    Operator(usize, Consent),
}

fn answer(chance: &mut Chance) -> Consent {
    let mut one = || {
        chance.pick(&[ConsentStatus::Granted, ConsentStatus::Granted, ConsentStatus::Denied, ConsentStatus::Unknown])
    };
    Consent { ad_user_data: one(), ad_personalization: one() }
}

impl Step {
    pub fn random(chance: &mut Chance) -> Self {
        let consent = answer(chance);
        match chance.below(20) {
            0..4 => Self::Visit(chance.pick(&[0, 1]), consent),
            4 => Self::PrivateVisit(chance.pick(&[0, 1])),
            5..9 => Self::Banner(chance.pick(&[0, 1]), consent),
            9..14 => Self::Form(chance.pick(&[0, 1, 2]), consent),
            14..18 => Self::Deal(consent),
            _ => Self::Operator(chance.pick(&[0, 1, 2]), consent),
        }
    }

    /// What changes in the model.
    pub fn apply(self, person: &mut Person, lead_id: Option<Uuid>) {
        match self {
            Self::Visit(it, consent) => {
                // The banner's state comes with every page view: a yes that was there before is no new one.
                let news = |now, before| match (now, before) {
                    (ConsentStatus::Granted, ConsentStatus::Granted) => ConsentStatus::Unknown,
                    _ => now,
                };
                let before = person.banners[it];
                let said = Consent {
                    ad_user_data: news(consent.ad_user_data, before.ad_user_data),
                    ad_personalization: news(consent.ad_personalization, before.ad_personalization),
                };
                person.says(Speaker::Browser(it), said);
                person.banners[it] = consent.or(before);
            }
            Self::PrivateVisit(it) => Self::Visit(it, Consent::DENIED).apply(person, None),
            Self::Banner(it, consent) => {
                person.says(Speaker::Browser(it), consent);
                person.banners[it] = consent.or(person.banners[it]);
            }
            Self::Form(lead, consent) if person.leads[lead].is_none() => {
                person.leads[lead] = lead_id;
                let banner = BROWSER[lead].map_or(Consent::default(), |it| person.banners[it]);
                person.rows[lead] = if consent.is_known() { consent } else { banner };
                person.says(Speaker::Lead(lead), consent);
            }
            Self::Form(lead, consent) => {
                let before = person.rows[lead];
                let news = |now, before| if now == before { ConsentStatus::Unknown } else { now };
                let said = Consent {
                    ad_user_data: news(consent.ad_user_data, before.ad_user_data),
                    ad_personalization: news(consent.ad_personalization, before.ad_personalization),
                };
                person.rows[lead] = consent;
                person.says(Speaker::Lead(lead), said);
            }
            Self::Deal(consent) => {
                person.has_deal = true;
                let news = |now, before| if now == before { ConsentStatus::Unknown } else { now };
                let said = Consent {
                    ad_user_data: news(consent.ad_user_data, person.crm.ad_user_data),
                    ad_personalization: news(consent.ad_personalization, person.crm.ad_personalization),
                };
                person.crm = consent.or(person.crm);
                person.says(Speaker::Crm, said);
            }
            Self::Operator(lead, consent) => {
                if person.leads[lead].is_some() {
                    person.says(Speaker::Operator(lead), consent);
                }
            }
        }
    }
}
