//! Who we are to Google: one of three kinds of credentials.

use super::auth::{AwsKeys, Credentials, ExternalAccount, RefreshToken, ServiceAccountKey};
use crate::settings::Settings;

const SERVICE_ACCOUNT_KEY: &str = "GOOGLE_SERVICE_ACCOUNT_KEY";
const EXTERNAL_ACCOUNT: &str = "GOOGLE_EXTERNAL_ACCOUNT";
const REFRESH_TOKEN: [&str; 3] = ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GOOGLE_REFRESH_TOKEN"];

/// The settings that credentials are looked for in, kind by kind.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub external_account: Option<String>,
    pub service_account_key: Option<String>,
    /// Client id, client secret and refresh token.
    pub refresh_token: Option<[String; 3]>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            external_account: Some(EXTERNAL_ACCOUNT.into()),
            service_account_key: Some(SERVICE_ACCOUNT_KEY.into()),
            refresh_token: Some(REFRESH_TOKEN.map(String::from)),
        }
    }
}

impl Names {
    /// All of them, those of the kind we recommend most first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.kinds().flat_map(|(_, names)| names)
    }

    /// The same for people: those of one kind belong together.
    pub(crate) fn in_words(&self) -> String {
        self.kinds().map(|(_, names)| names.join(" + ")).collect::<Vec<_>>().join(" or ")
    }

    fn kinds(&self) -> impl Iterator<Item = (Kind, Vec<&str>)> {
        fn one(name: Option<&String>) -> Option<Vec<&str>> {
            name.map(|name| vec![name.as_str()])
        }
        let of_person = self.refresh_token.as_ref().map(|names| names.iter().map(String::as_str).collect());
        [
            (Kind::ExternalAccount, one(self.external_account.as_ref())),
            (Kind::ServiceAccount, one(self.service_account_key.as_ref())),
            (Kind::RefreshToken, of_person),
        ]
        .into_iter()
        .filter_map(|(kind, names)| Some((kind, names?)))
    }

    /// Those of which a value is set.
    fn set<'a>(&'a self, settings: &Settings) -> Vec<(Kind, Vec<&'a str>)> {
        let set = self.kinds().map(|(kind, mut names)| {
            names.retain(|name| settings.text(name).is_some());
            (kind, names)
        });
        set.filter(|(_, names)| !names.is_empty()).collect()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    ExternalAccount,
    ServiceAccount,
    RefreshToken,
}

/// The credentials. None if they are missing or wrong, which is noted.
pub(crate) fn read(settings: &mut Settings, names: &Names) -> Option<Credentials> {
    let set = names.set(settings);
    let [(kind, first), others @ ..] = set.as_slice() else {
        let wanted = names.service_account_key.as_deref().or_else(|| names.iter().next());
        settings.miss(wanted.unwrap_or(SERVICE_ACCOUNT_KEY));
        return None;
    };
    if !others.is_empty() {
        let others = others.iter().flat_map(|(_, names)| names.iter().copied()).collect::<Vec<_>>().join(", ");
        let first = first.join(", ");
        settings.refuse(format!(
            "{first} and {others} are different credentials, and only one kind may be set: unset {others}, or \
             {first} if that is the one you don't mean to use"
        ));
        return None;
    }
    match kind {
        Kind::ExternalAccount => external_account(settings, first[0]).map(Credentials::ExternalAccount),
        Kind::ServiceAccount => settings.parsed(first[0], ServiceAccountKey::parse).map(Credentials::ServiceAccount),
        Kind::RefreshToken => refresh_token(settings, names.refresh_token.as_ref()?).map(Credentials::RefreshToken),
    }
}

fn external_account(settings: &mut Settings, name: &str) -> Option<ExternalAccount> {
    let keys = aws_keys(settings);
    settings.parsed(name, |text| ExternalAccount::parse(text, keys?))
}

/// What Lambda puts into the environment of a function that has a role. Without it the SDK looks further.
fn aws_keys(settings: &Settings) -> Result<Option<AwsKeys>, String> {
    let (Some(access_key_id), Some(secret_access_key)) =
        (settings.text("AWS_ACCESS_KEY_ID"), settings.secret("AWS_SECRET_ACCESS_KEY"))
    else {
        return Ok(None);
    };
    let region = settings.text("AWS_REGION").or_else(|| settings.text("AWS_DEFAULT_REGION"));
    let region = region.ok_or("is of use only with a region: set AWS_REGION, as Lambda does by itself")?;
    let session_token = settings.secret("AWS_SESSION_TOKEN");
    Ok(Some(AwsKeys { access_key_id, secret_access_key, session_token, region }))
}

fn refresh_token(settings: &mut Settings, names: &[String; 3]) -> Option<RefreshToken> {
    let [client_id, client_secret, refresh_token] = names.each_ref().map(|name| settings.secret(name));
    if let (Some(client_id), Some(client_secret), Some(refresh_token)) = (client_id, client_secret, refresh_token) {
        return Some(RefreshToken { client_id, client_secret, refresh_token });
    }
    let [id, secret, token] = names;
    settings.refuse(format!("{id}, {secret} and {token} belong together: set all three"));
    None
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::settings::Values;

    const EXTERNAL: &str = r#"{
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/aws",
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "token_url": "https://sts.googleapis.com/v1/token",
        "service_account_impersonation_url":
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@example.com:generateAccessToken",
        "credential_source": {
            "environment_id": "aws1",
            "regional_cred_verification_url":
                "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
        }
    }"#;
    const USER: [(&str, &str); 3] =
        [("GOOGLE_CLIENT_ID", "id"), ("GOOGLE_CLIENT_SECRET", "hush"), ("GOOGLE_REFRESH_TOKEN", "token")];

    fn read(pairs: &[(&str, &str)]) -> Result<Credentials, String> {
        let values: Values = pairs.iter().map(|(name, value)| ((*name).into(), SecretString::from(*value))).collect();
        let mut settings = Settings::new(&values);
        let credentials = super::read(&mut settings, &Names::default());
        settings.finish(credentials).map_err(|error| error.to_string())
    }

    #[test]
    fn any_one_kind_will_do() {
        assert!(matches!(read(&USER), Ok(Credentials::RefreshToken(_))));
        assert!(matches!(read(&[(EXTERNAL_ACCOUNT, EXTERNAL)]), Ok(Credentials::ExternalAccount(_))));
        let error = read(&[]).err().unwrap();
        assert!(error.contains("Missing settings: GOOGLE_SERVICE_ACCOUNT_KEY"), "{error}");
    }

    #[test]
    fn of_two_kinds_one_has_to_go() {
        let error = read(&[&USER[..], &[(EXTERNAL_ACCOUNT, EXTERNAL)]].concat()).err().unwrap();
        assert!(error.contains("unset GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET, GOOGLE_REFRESH_TOKEN, or"), "{error}");
        assert!(!error.contains("hush"), "{error}");
        let error = read(&[(SERVICE_ACCOUNT_KEY, "{}"), (EXTERNAL_ACCOUNT, EXTERNAL)]).err().unwrap();
        assert!(error.contains("unset GOOGLE_SERVICE_ACCOUNT_KEY, or GOOGLE_EXTERNAL_ACCOUNT"), "{error}");
        // Even a rest of another kind.
        let error = read(&[USER[0], (EXTERNAL_ACCOUNT, EXTERNAL)]).err().unwrap();
        assert!(error.contains("unset GOOGLE_CLIENT_ID, or"), "{error}");
        // An empty variable is none.
        assert!(read(&[("GOOGLE_CLIENT_ID", ""), (EXTERNAL_ACCOUNT, EXTERNAL)]).is_ok());
    }

    #[test]
    fn a_refresh_token_needs_its_client() {
        let error = read(&USER[..2]).err().unwrap();
        assert!(error.contains("set all three"), "{error}");
    }

    #[test]
    fn the_role_s_keys_come_from_the_environment_when_they_are_there() {
        let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush"), (EXTERNAL_ACCOUNT, EXTERNAL)];
        let error = read(&keys).err().unwrap();
        assert!(error.contains("set AWS_REGION") && !error.contains("hush"), "{error}");
        let found = read(&[&keys[..], &[("AWS_REGION", "eu-central-1")]].concat());
        let Ok(Credentials::ExternalAccount(account)) = found else { panic!("no external account") };
        assert_eq!(account.aws_keys.map(|keys| keys.region).as_deref(), Some("eu-central-1"));
    }
}
