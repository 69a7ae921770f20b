//! Who we are to Google: one of three kinds of credentials.

use super::auth::{AwsKeys, Credentials, ExternalAccount, RefreshToken, ServiceAccountKey};
use crate::settings::Settings;

const SERVICE_ACCOUNT_KEY: &str = "GOOGLE_SERVICE_ACCOUNT_KEY";
const EXTERNAL_ACCOUNT: &str = "GOOGLE_EXTERNAL_ACCOUNT";
const REFRESH_TOKEN: [&str; 3] = ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GOOGLE_REFRESH_TOKEN"];
/// The kinds in the order we recommend them in, each with its settings.
const KINDS: [&[&str]; 3] = [&[EXTERNAL_ACCOUNT], &[SERVICE_ACCOUNT_KEY], &REFRESH_TOKEN];

/// The settings that are there, kind by kind.
fn kinds(settings: &Settings) -> Vec<Vec<&'static str>> {
    KINDS
        .into_iter()
        .map(|names| names.iter().copied().filter(|name| settings.text(name).is_some()).collect::<Vec<_>>())
        .filter(|names| !names.is_empty())
        .collect()
}

/// The credentials. None if they are missing or wrong, which is noted.
pub(super) fn read(settings: &mut Settings) -> Option<Credentials> {
    let kinds = kinds(settings);
    if let [first, others @ ..] = kinds.as_slice()
        && !others.is_empty()
    {
        let (first, others) = (first.join(", "), others.concat().join(", "));
        settings.refuse(format!(
            "{first} and {others} are different credentials, and only one kind may be set: unset {others}, or \
             {first} if that is the one you don't mean to use"
        ));
        return None;
    }
    let Some(first) = kinds.first().and_then(|names| names.first()) else {
        settings.miss(SERVICE_ACCOUNT_KEY);
        return None;
    };
    match *first {
        EXTERNAL_ACCOUNT => external_account(settings).map(Credentials::ExternalAccount),
        SERVICE_ACCOUNT_KEY => {
            settings.parsed(SERVICE_ACCOUNT_KEY, ServiceAccountKey::parse).map(Credentials::ServiceAccount)
        }
        _ => refresh_token(settings).map(Credentials::RefreshToken),
    }
}

fn external_account(settings: &mut Settings) -> Option<ExternalAccount> {
    let keys = aws_keys(settings);
    settings.parsed(EXTERNAL_ACCOUNT, |text| ExternalAccount::parse(text, keys?))
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

fn refresh_token(settings: &mut Settings) -> Option<RefreshToken> {
    let [client_id, client_secret, refresh_token] = REFRESH_TOKEN.map(|name| settings.secret(name));
    if let (Some(client_id), Some(client_secret), Some(refresh_token)) = (client_id, client_secret, refresh_token) {
        return Some(RefreshToken { client_id, client_secret, refresh_token });
    }
    let problem = "GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET and GOOGLE_REFRESH_TOKEN belong together: set all three";
    settings.refuse(problem);
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
        let credentials = super::read(&mut settings);
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
