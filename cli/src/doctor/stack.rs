//! Is the stack complete, does it have the secret that was read, and does anybody get its alarms?

use secrecy::ExposeSecret;
use shared::settings::{SECRET_ID, Values, value};

use super::report::{Report, capitalised, sentence};
use crate::aws_problem::{self, AwsProblem, Call};
use crate::stack::Stack;

const NAME: &str = "stack";
const SECRET: &str = "stack.secret";
const ALARMS: &str = "alarms";

/// Asks CloudFormation for the stack.
pub(super) async fn read(name: &str, report: &mut Report) -> Option<Stack> {
    match Stack::read(name).await {
        Ok(stack) => {
            check_status(name, &stack.status, report);
            Some(stack)
        }
        Err(problem) => {
            refused(NAME, &problem, report);
            None
        }
    }
}

fn refused(check: &str, problem: &AwsProblem, report: &mut Report) {
    report.error(check, sentence(&problem.problem), sentence(&capitalised(&problem.fix)));
}

fn check_status(name: &str, status: &str, report: &mut Report) {
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
    let Some(topic) = stack.alarm_topic() else {
        return report.warn(ALARMS, "The stack has no output AlarmTopicArn.", "Deploy this version of template.yaml.");
    };
    let aws = shared::aws::sdk_config().await;
    let client = aws_sdk_sns::Client::new(&aws);
    let mut pages = client.list_subscriptions_by_topic().topic_arn(topic).into_paginator().items().send();
    let (mut confirmed, mut pending) = (0_usize, 0_usize);
    while let Some(subscription) = pages.next().await {
        match subscription {
            // Our own function's, which tells Slack.
            Ok(it) if it.protocol() == Some("lambda") => {}
            Ok(it) if it.subscription_arn().is_some_and(|arn| arn.starts_with("arn:")) => confirmed += 1,
            Ok(it) => pending += usize::from(it.subscription_arn() == Some("PendingConfirmation")),
            Err(error) => {
                let (action, region) = ("sns:ListSubscriptionsByTopic", aws_problem::region(&aws));
                let of = format!("topic {topic}");
                let call = Call { action, of: &of, named_by: "AlarmEmail", region };
                return refused(ALARMS, &AwsProblem::of(&error, call), report);
            }
        }
    }
    match (confirmed, pending) {
        (0, 0) => report.error(
            ALARMS,
            "Nobody gets the alarms.",
            format!("Run {}, then click the link in the e-mail of AWS.", subscribe(topic)),
        ),
        (0, _) => {
            let problem = "Nobody gets the alarms: the subscription isn't confirmed.";
            report.error(
                ALARMS,
                problem,
                format!(
                    "Click the link in the e-mail that AWS sent to AlarmEmail; {} sends a new one.",
                    subscribe(topic)
                ),
            );
        }
        (count, _) => report.right(ALARMS, format!("{count} confirmed")),
    }
}

fn subscribe(topic: &str) -> String {
    format!("aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS")
}

#[cfg(test)]
mod tests {
    use super::*;

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
