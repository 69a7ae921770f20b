//! The CRMs whose requests are known.

#[derive(Clone, Copy, Debug)]
pub(super) enum Crm {
    Hubspot,
    Pipedrive,
    Close,
}

impl Crm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hubspot => "HubSpot",
            Self::Pipedrive => "Pipedrive",
            Self::Close => "Close",
        }
    }

    pub fn usual_url(self) -> &'static str {
        match self {
            Self::Hubspot => "https://api.hubapi.com",
            Self::Pipedrive => "https://api.pipedrive.com",
            Self::Close => "https://api.close.com",
        }
    }

    /// Where to get a token, as the end of a sentence.
    pub fn token_origin(self) -> &'static str {
        match self {
            Self::Hubspot => {
                "the access token of a private app with the scopes crm.objects.deals.read and \
                 crm.objects.contacts.read (in HubSpot: Settings, Integrations, Private Apps)"
            }
            Self::Pipedrive => {
                "the API token of a user who may see every person (in Pipedrive: Personal preferences, API)"
            }
            Self::Close => "an API key of a user who may see every lead (in Close: Settings, Developer, API Keys)",
        }
    }

    /// The fix if a token is valid but lacks a permission.
    pub fn permission(self) -> &'static str {
        match self {
            Self::Hubspot => {
                "Give its private app the scopes crm.objects.deals.read and crm.objects.contacts.read \
                 (in HubSpot: Settings, Integrations, Private Apps)"
            }
            Self::Pipedrive => "Let its user see every person, or use the token of a user who does",
            Self::Close => "Let its user see every lead, or use the API key of a user who does",
        }
    }
}
