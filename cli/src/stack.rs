//! A deployed stack, and the settings that its functions have: its secret, its parameters, and over both what the
//! environment here changes.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use shared::settings::{self, SECRET_ID, Values};
use shared::{aws, spool};
use tokio::time::timeout;

use crate::Failure;
use crate::aws_problem::{self, AwsProblem, Call};

/// For each call of AWS.
const LIMIT: Duration = Duration::from_secs(30);

/// As CloudFormation describes it.
#[derive(Default)]
pub(crate) struct Stack {
    pub status: String,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

impl Stack {
    /// Asks CloudFormation for the stack of this name.
    ///
    /// # Errors
    /// Why there is no answer, or no such stack.
    pub(crate) async fn read(name: &str) -> Result<Self, AwsProblem> {
        timeout(LIMIT, described(name)).await.unwrap_or_else(|_| Err(AwsProblem::too_late()))
    }

    pub(crate) fn base_url(&self) -> Option<&str> {
        self.outputs.get("BaseUrl").map(String::as_str)
    }

    pub(crate) fn alarm_topic(&self) -> Option<&str> {
        self.outputs.get("AlarmTopicArn").map(String::as_str)
    }

    pub(crate) fn secret(&self) -> Option<&str> {
        self.parameters.get("SecretArn").map(String::as_str)
    }

    /// How often its uploader runs, in minutes.
    pub(crate) fn upload_every(&self) -> Option<u16> {
        self.parameters.get("UploadEveryMinutes")?.parse().ok()
    }

    /// The settings as its functions have them, with `own`, those of the environment, over them. If the secret can't be
    /// read, they are without it, and the problem stands beside them: a sentence with its fix.
    pub(crate) async fn settings(&self, own: Values) -> (Values, Option<String>) {
        let mut values = Values::new();
        let mut problem = None;
        // Who names a secret has read that one.
        if let Some(arn) = self.secret().filter(|_| settings::value(&own, SECRET_ID).is_none()) {
            match timeout(LIMIT, settings::of_secret(arn)).await {
                Ok(Ok(secret)) => {
                    values.extend(secret);
                    values.insert(SECRET_ID.to_owned(), SecretString::from(arn));
                }
                Ok(Err(error)) => problem = Some(error.problems().to_owned()),
                Err(_) => problem = Some(AwsProblem::too_late().to_string()),
            }
        }
        values.extend(self.variables());
        values.extend(own);
        (values, problem)
    }

    /// What the stack sets for its functions: `AllowedOrigins` is `ALLOWED_ORIGINS`.
    fn variables(&self) -> Values {
        let parameters = self.parameters.iter().map(|(name, value)| (setting(name), value));
        let queues = [
            (spool::QUEUE, self.outputs.get("SpoolQueueUrl")),
            (spool::DEAD_LETTERS, self.outputs.get("SpoolDeadLettersUrl")),
        ];
        let queues = queues.into_iter().filter_map(|(name, url)| Some((name.to_owned(), url?)));
        let set = parameters.chain(queues).filter(|(_, value)| !value.is_empty());
        set.map(|(name, value)| (name, SecretString::from(value.as_str()))).collect()
    }
}

/// The settings that a command goes by, and the stack of this name.
///
/// # Errors
/// If the stack or its secret can't be read.
pub(crate) async fn deployed(name: &str, own: Values) -> Result<(Stack, Values), Failure> {
    let stack = Stack::read(name).await?;
    if stack.secret().is_none() {
        let problem = AwsProblem::new(
            format!("The stack {name} has no parameter SecretArn"),
            "give --stack the name of a stack of Adtrail",
        );
        return Err(problem.into());
    }
    match stack.settings(own).await {
        (values, None) => Ok((stack, values)),
        (_, Some(problem)) => Err(Failure::Message(problem)),
    }
}

async fn described(name: &str) -> Result<Stack, AwsProblem> {
    let aws = aws::sdk_config().await;
    let region = aws_problem::region(&aws).ok_or_else(AwsProblem::no_region)?;
    let request = aws_sdk_cloudformation::Client::new(&aws).describe_stacks().stack_name(name);
    let answer = request.send().await.map_err(|error| {
        let of = format!("stack {name}");
        let action = "cloudformation:DescribeStacks";
        AwsProblem::of(&error, Call { action, of: &of, named_by: "--stack", region: Some(region) })
    })?;
    let stack = answer.stacks.unwrap_or_default().into_iter().next();
    let stack = stack.ok_or_else(|| AwsProblem::no_stack(name, region))?;
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    let outputs = stack.outputs.unwrap_or_default().into_iter();
    Ok(Stack {
        status: stack.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        parameters: parameters.filter_map(|it| Some((it.parameter_key?, it.parameter_value?))).collect(),
        outputs: outputs.filter_map(|it| Some((it.output_key?, it.output_value?))).collect(),
    })
}

fn setting(parameter: &str) -> String {
    parameter.char_indices().fold(String::new(), |mut name, (at, c)| {
        if at > 0 && c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_called_as_its_setting() {
        for (parameter, name) in [
            ("AllowedOrigins", "ALLOWED_ORIGINS"),
            ("GoogleAdsConversionActionClosed", "GOOGLE_ADS_CONVERSION_ACTION_CLOSED"),
        ] {
            assert_eq!(setting(parameter), name);
        }
    }

    #[tokio::test]
    async fn the_environment_goes_before_the_stack() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let stack = Stack {
            parameters: map(&[("ConsentUnknown", "hold"), ("AllowedOrigins", "https://a.example"), ("DomainName", "")]),
            outputs: map(&[("SpoolQueueUrl", "https://sqs.example/spool"), ("BaseUrl", "https://api.example")]),
            ..Stack::default()
        };
        let own = Values::from([("CONSENT_UNKNOWN".to_owned(), "send".into())]);
        let (values, problem) = stack.settings(own).await;
        let text =
            |name: &str| settings::value(&values, name).map(|it| secrecy::ExposeSecret::expose_secret(&it).to_owned());
        assert_eq!(problem, None);
        assert_eq!(text("CONSENT_UNKNOWN").as_deref(), Some("send"));
        assert_eq!(text("ALLOWED_ORIGINS").as_deref(), Some("https://a.example"));
        assert_eq!(text("SPOOL_QUEUE_URL").as_deref(), Some("https://sqs.example/spool"));
        assert!(!values.contains_key("DOMAIN_NAME") && !values.contains_key("SPOOL_DEAD_LETTERS_URL"));
    }
}
