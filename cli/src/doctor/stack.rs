//! Is the stack complete, does it have the secret that was read, and does anybody get its alarms?

use std::collections::BTreeMap;

use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_cloudformation::types::StackStatus;
use secrecy::{ExposeSecret, SecretString};
use shared::settings::{SECRET_ID, Values, value};

use super::report::Report;

const NAME: &str = "stack";
const SECRET: &str = "stack.secret";
const ALARMS: &str = "alarms";

/// A deployed stack.
pub(super) struct Stack {
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

impl Stack {
    pub(super) fn base_url(&self) -> Option<&str> {
        self.outputs.get("BaseUrl").map(String::as_str)
    }

    pub(super) fn secret(&self) -> Option<&str> {
        self.parameters.get("SecretArn").map(String::as_str)
    }

    /// How often its uploader runs, in minutes.
    pub(super) fn upload_every(&self) -> Option<u16> {
        self.parameters.get("UploadEveryMinutes")?.parse().ok()
    }

    /// The settings that are its parameters: `AllowedOrigins` is `ALLOWED_ORIGINS`.
    pub(super) fn settings(&self) -> Values {
        let set = self.parameters.iter().filter(|(_, value)| !value.is_empty());
        set.map(|(parameter, value)| (setting(parameter), SecretString::from(value.as_str()))).collect()
    }
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

/// Asks CloudFormation for the stack.
pub(super) async fn read(name: &str, report: &mut Report) -> Option<Stack> {
    let aws = shared::aws::sdk_config().await;
    let Some(region) = aws.region().map(ToString::to_string) else {
        report.error(NAME, "No AWS region is chosen.", "Set AWS_REGION to the region of the stack.");
        return None;
    };
    let client = aws_sdk_cloudformation::Client::new(&aws);
    let answer = match client.describe_stacks().stack_name(name).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let said = (error.code().map(str::to_owned), DisplayErrorContext(&error).to_string());
            let (problem, fix) = if said.0.as_deref() == Some("ValidationError") {
                (
                    format!("There is no stack {name} in {region}."),
                    "Correct --stack, or set AWS_REGION to its region.".into(),
                )
            } else {
                refusal(said, "cloudformation:DescribeStacks")
            };
            report.error(NAME, problem, fix);
            return None;
        }
    };
    let Some(stack) = answer.stacks.unwrap_or_default().into_iter().next() else {
        report.error(NAME, format!("There is no stack {name} in {region}."), "Correct --stack, or set AWS_REGION.");
        return None;
    };
    check_status(name, stack.stack_status.as_ref(), report);
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    let outputs = stack.outputs.unwrap_or_default().into_iter();
    Some(Stack {
        parameters: parameters.filter_map(|it| Some((it.parameter_key?, it.parameter_value?))).collect(),
        outputs: outputs.filter_map(|it| Some((it.output_key?, it.output_value?))).collect(),
    })
}

fn check_status(name: &str, status: Option<&StackStatus>, report: &mut Report) {
    let status = status.map(StackStatus::as_str).unwrap_or_default();
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => report.right(NAME, format!("{name} is {status}")),
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => {
            let problem = format!("The last deployment of {name} failed and was taken back ({status}).");
            report.warn(NAME, problem, "Its events in CloudFormation say why; correct that and deploy again.");
        }
        _ if status.ends_with("_IN_PROGRESS") => {
            let problem = format!("{name} is being changed ({status}).");
            report.warn(NAME, problem, "Run adtrail doctor again when it is done.");
        }
        _ => {
            let problem = format!("{name} is not complete ({status}).");
            report.error(
                NAME,
                problem,
                "Its events in CloudFormation say why; docs/deploy.md says how to begin again.",
            );
        }
    }
}

/// Is the stack's secret the one that was read here?
pub(super) fn check_secret(stack: &Stack, values: &Values, report: &mut Report) {
    let Some(arn) = stack.secret() else {
        return report.error(SECRET, "The stack has no parameter SecretArn.", "Give --stack the stack of Adtrail.");
    };
    match value(values, SECRET_ID) {
        None => {
            report.not_checked(SECRET, "ADTRAIL_SECRET_ID isn't set: the settings here are those of the environment");
        }
        Some(id) if is_same(id.expose_secret(), arn) => report.right(SECRET, "is the one that was read"),
        Some(_) => {
            let problem = "The stack has another secret than ADTRAIL_SECRET_ID names here.";
            report.error(
                SECRET,
                problem,
                "Unset ADTRAIL_SECRET_ID, so that the stack's is read, or correct SecretArn.",
            );
        }
    }
}

/// A name, or an ARN with or without the characters that AWS adds.
fn is_same(id: &str, arn: &str) -> bool {
    let name = arn.rsplit_once(":secret:").and_then(|(_, name)| name.rsplit_once('-')).map(|(name, _)| name);
    let short = arn.rsplit_once('-').map(|(short, _)| short);
    id == arn || Some(id) == name || Some(id) == short
}

/// Has somebody confirmed that they want the alarms?
pub(super) async fn check_alarms(stack: &Stack, report: &mut Report) {
    let Some(topic) = stack.outputs.get("AlarmTopicArn") else {
        return report.warn(ALARMS, "The stack has no output AlarmTopicArn.", "Deploy this version of template.yaml.");
    };
    let client = aws_sdk_sns::Client::new(&shared::aws::sdk_config().await);
    let mut pages = client.list_subscriptions_by_topic().topic_arn(topic).into_paginator().items().send();
    let (mut confirmed, mut pending) = (0_usize, 0_usize);
    while let Some(subscription) = pages.next().await {
        match subscription {
            Ok(it) if it.subscription_arn().is_some_and(|arn| arn.starts_with("arn:")) => confirmed += 1,
            Ok(it) => pending += usize::from(it.subscription_arn() == Some("PendingConfirmation")),
            Err(error) => {
                let said = (error.code().map(str::to_owned), DisplayErrorContext(&error).to_string());
                let (problem, fix) = refusal(said, "sns:ListSubscriptionsByTopic");
                return report.error(ALARMS, problem, fix);
            }
        }
    }
    match (confirmed, pending) {
        (0, 0) => report.error(
            ALARMS,
            "Nobody gets the alarms.",
            "Set AlarmEmail and deploy, then click the link of AWS' e-mail.",
        ),
        (0, _) => {
            let problem = "Nobody gets the alarms: the subscription isn't confirmed.";
            report.error(
                ALARMS,
                problem,
                "Click the link in the e-mail that AWS sent to AlarmEmail, or deploy for a new one.",
            );
        }
        (count, _) => report.right(ALARMS, format!("{count} confirmed")),
    }
}

/// What AWS' error means, and the fix.
fn refusal((code, said): (Option<String>, String), action: &str) -> (String, String) {
    let code = code.unwrap_or_default();
    match code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" => (
            format!("The AWS credentials here may not call {action}."),
            format!("Allow {action} to the user or role, or use other credentials."),
        ),
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            ("The AWS credentials here have expired.".into(), "Log in to AWS again.".into())
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "SignatureDoesNotMatch" | "AuthFailure" => (
            "AWS doesn't know the credentials here.".into(),
            "Correct them: aws sts get-caller-identity has to answer.".into(),
        ),
        "Throttling" | "ThrottlingException" => {
            ("AWS answers that there are too many requests.".into(), "Run adtrail doctor again in a minute.".into())
        }
        "" if said.contains("credentials") => (
            "There are no AWS credentials here.".into(),
            "Log in to AWS: aws sts get-caller-identity has to answer.".into(),
        ),
        "" => ("AWS can't be reached.".into(), "Look at AWS_REGION, AWS_ENDPOINT_URL and the network.".into()),
        _ => {
            (format!("AWS refuses {action} ({code})."), "Look the code up in the documentation of the service.".into())
        }
    }
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

    #[test]
    fn a_secret_is_named_by_its_name_or_arn() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:my-adtrail-Ab12Cd";
        let short = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:my-adtrail";
        for same in [arn, short, "my-adtrail"] {
            assert!(is_same(same, arn), "{same}");
        }
        for other in [
            "my",
            "adtrail",
            "my-adtrail-Ab12Cd",
            "",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:my-adtrail",
        ] {
            assert!(!is_same(other, arn), "{other}");
        }
    }
}
