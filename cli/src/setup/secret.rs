//! The secret that has all settings that are secret: in AWS Secrets Manager, or in a file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Region;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use serde_json::{Map, Value};
use shared::aws;

use super::replacing;
use crate::Failure;
use crate::aws_problem::{self, AwsProblem, Call};

/// What is in it, and which one it is.
#[derive(Clone, Default)]
pub(crate) struct Content {
    /// Is there one already?
    pub exists: bool,
    pub keys: Map<String, Value>,
    /// None in a file, and where there is none yet.
    pub version: Option<Version>,
}

/// A version of a secret in Secrets Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub arn: String,
    pub id: String,
}

/// Where it is.
pub(crate) enum Store {
    SecretsManager { client: Client, region: String, id: String },
    File(PathBuf),
}

/// Checks the name or the ARN of a secret.
///
/// # Errors
/// What it must look like: the end of a sentence.
pub(crate) fn check_id(text: &str) -> Result<String, String> {
    let name = if text.starts_with("arn:") { name_in_arn(text) } else { Some(text) };
    let is_known = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    match name {
        Some(name) if (1..=512).contains(&name.len()) && name.chars().all(is_known) => Ok(text.to_owned()),
        _ => Err("must be the name of a secret, such as adtrail: letters, digits and /_+=.@-; or its whole ARN".into()),
    }
}

/// With the six characters that AWS adds.
fn name_in_arn(arn: &str) -> Option<&str> {
    let [_, partition, "secretsmanager", _, account, "secret", name] = arn.splitn(7, ':').collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let ends_as_aws_does = name.rsplit_once('-').is_some_and(|(_, added)| added.len() == 6);
    (partition.starts_with("aws") && account.len() == 12 && ends_as_aws_does).then_some(name)
}

/// The region of an ARN.
pub(crate) fn region_in_arn(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.split(':').nth(2)
}

impl Store {
    /// The secret of this name or ARN, in the region that the AWS CLI would use, or else in `expected`.
    ///
    /// # Errors
    /// If there is no region, or two of them.
    pub(crate) async fn in_secrets_manager(id: String, expected: Option<&str>) -> Result<Self, Failure> {
        let mut config = aws::sdk_config().await;
        let region = match (aws_problem::region(&config).map(str::to_owned), expected) {
            (Some(set), Some(expected)) if set != expected => {
                return Err(Failure::Message(format!(
                    "The AWS region is {set}, but samconfig.toml or the secret's ARN says {expected}: the stack and its \
                     secret are in one region, so export AWS_REGION={expected}, or change samconfig.toml."
                )));
            }
            (Some(region), _) => region,
            (None, Some(expected)) => expected.to_owned(),
            (None, None) => {
                return Err(AwsProblem::no_region().into());
            }
        };
        config = config.into_builder().region(Region::new(region.clone())).build();
        Ok(Self::SecretsManager { client: Client::new(&config), region, id })
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::SecretsManager { region, id, .. } => format!("secret {id} in AWS Secrets Manager, {region}"),
            Self::File(path) => format!("file {}", path.display()),
        }
    }

    /// The region, if that is known here.
    pub(crate) fn region(&self) -> Option<&str> {
        match self {
            Self::SecretsManager { region, .. } => Some(region),
            Self::File(_) => None,
        }
    }

    /// # Errors
    /// If it can't be read, or isn't a JSON object.
    pub(crate) async fn read(&self) -> Result<Content, Failure> {
        match self {
            Self::SecretsManager { client, region, id } => {
                let answer = match client.get_secret_value().secret_id(id).send().await {
                    Ok(answer) => answer,
                    Err(error) if error.code() == Some("ResourceNotFoundException") => {
                        // A secret that was made without a value has no version to be found.
                        let exists = error.message().is_some_and(|said| said.contains("staging label"));
                        if id.starts_with("arn:") && !exists {
                            return Err(Failure::Message(format!(
                                "There is no secret {id}: correct SecretArn in samconfig.toml, or name another one \
                                 with --secret."
                            )));
                        }
                        return Ok(Content { exists, ..Content::default() });
                    }
                    Err(error) => {
                        return Err(refused(&error, "secretsmanager:GetSecretValue", id, region));
                    }
                };
                let keys = parse(answer.secret_string().unwrap_or_default(), &self.place())?;
                let version = answer.arn.zip(answer.version_id).map(|(arn, id)| Version { arn, id });
                Ok(Content { exists: true, keys, version })
            }
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Content { exists: true, keys: parse(&text, &self.place())?, version: None }),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Content::default()),
                Err(error) => Err(Failure::Message(format!("The secret's {} can't be read: {error}.", self.place()))),
            },
        }
    }

    /// Writes all keys, over what was read before.
    ///
    /// # Errors
    /// If it can't be written. It is then as it was.
    pub(crate) async fn write(&self, before: &Content, keys: &Map<String, Value>) -> Result<Option<Version>, Failure> {
        let text = serde_json::to_string_pretty(keys).unwrap_or_default();
        let (client, region, id) = match self {
            Self::SecretsManager { client, region, id } => (client, region, id),
            Self::File(path) => return written(path, &text).map(|()| None),
        };
        if !before.exists {
            let answer = client.create_secret().name(id).description("The settings of Adtrail").secret_string(text);
            let answer = answer.send().await;
            let answer = answer.map_err(|error| refused(&error, "secretsmanager:CreateSecret", id, region))?;
            return Ok(answer.arn.zip(answer.version_id).map(|(arn, id)| Version { arn, id }));
        }
        // Somebody may have changed it while the questions were answered.
        if self.read().await?.version != before.version {
            let problem = format!("The {} has been changed meanwhile: run this again.", self.place());
            return Err(Failure::Message(problem));
        }
        let answer = client.put_secret_value().secret_id(id).secret_string(text).send().await;
        let answer = answer.map_err(|error| refused(&error, "secretsmanager:PutSecretValue", id, region))?;
        Ok(answer.arn.zip(answer.version_id).map(|(arn, id)| Version { arn, id }))
    }
}

fn refused(error: &(impl ProvideErrorMetadata + std::error::Error), action: &str, id: &str, region: &str) -> Failure {
    let of = format!("secret {id}");
    let mut problem = AwsProblem::of(error, Call { action, of: &of, named_by: "--secret", region: Some(region) });
    if error.code().is_some_and(aws_problem::is_denied) {
        problem.fix = "get this right, or use --secret-file and have somebody with the right store the file".into();
    }
    problem.into()
}

fn written(path: &Path, text: &str) -> Result<(), Failure> {
    replacing::replace_secret(path, &format!("{text}\n"))
        .map_err(|error| Failure::Message(format!("The file {} can't be written: {error}.", path.display())))
}

fn parse(text: &str, place: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text).map_err(|_| {
        Failure::Message(format!("The {place} must be a JSON object of names and texts: correct it by hand."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_name_or_an_arn() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:adtrail-AbCdEf";
        for id in ["adtrail", "shop/adtrail_2", arn] {
            assert_eq!(check_id(id).as_deref(), Ok(id));
        }
        assert_eq!(region_in_arn(arn), Some("eu-central-1"));
        for id in ["", "ad trail", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:adtrail", "arn:aws:s3:::it"]
        {
            assert!(check_id(id).is_err(), "{id}");
        }
    }
}
