//! What Slack is told: what happened, what to do, and where to look.

use serde::Deserialize;

/// Where an alarm's description says what to do in full.
const RUNBOOK: &str = " Runbook: ";
/// Of each text that isn't ours, in characters.
const LONGEST: usize = 1_500;

/// An alarm that changed its state, as CloudWatch tells SNS.
#[derive(Debug, Deserialize)]
struct Alarm {
    #[serde(rename = "AlarmName")]
    full_name: String,
    #[serde(rename = "AlarmDescription")]
    description: Option<String>,
    #[serde(rename = "NewStateValue")]
    state: String,
    #[serde(rename = "NewStateReason")]
    reason: Option<String>,
    #[serde(rename = "AlarmArn")]
    arn: Option<String>,
}

/// The message for a notification: in Slack's mrkdwn for an alarm, else as it is.
pub fn text(subject: Option<&str>, message: &str) -> String {
    match serde_json::from_str::<Alarm>(message) {
        Ok(alarm) => alarm.text(),
        Err(_) => [subject.unwrap_or_default(), message].map(safe).join("\n").trim().to_owned(),
    }
}

impl Alarm {
    fn text(&self) -> String {
        let title = format!("*{}* of {}", safe(self.name()), safe(&self.place()));
        let (says, runbook) = self.says();
        if self.state == "OK" {
            let (first, _) = says.split_once(". ").unwrap_or((says, ""));
            return format!(":large_green_circle: {title} is over. It said: {}.", safe(first.trim_end_matches('.')));
        }
        let mut lines = vec![format!(":red_circle: {title}"), safe(says)];
        let runbook = runbook.map(|it| format!("What to do: `{}`", safe(it)));
        let alarm = self.link().map(|it| format!("<{it}|The alarm in CloudWatch>"));
        lines.push(runbook.into_iter().chain(alarm).collect::<Vec<_>>().join(" · "));
        lines.extend(self.reason.as_deref().map(|reason| format!("_{}_", safe(reason))));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }

    /// What the template calls it: CloudFormation puts the stack before and an id behind.
    fn name(&self) -> &str {
        self.full_name.rsplit('-').find(|part| part.starts_with("Alarm")).unwrap_or(&self.full_name)
    }

    /// The stack and the region.
    fn place(&self) -> String {
        let stack = self.full_name.rsplit_once("-Alarm").map_or("AWS", |(stack, _)| stack);
        self.region().map_or_else(|| stack.to_owned(), |region| format!("{stack} in {region}"))
    }

    fn region(&self) -> Option<&str> {
        let region = self.arn.as_deref()?.split(':').nth(3)?;
        let is_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (!region.is_empty() && region.chars().all(is_a_name)).then_some(region)
    }

    /// What it means and what to do, and where the runbook is.
    fn says(&self) -> (&str, Option<&str>) {
        let all = self.description.as_deref().unwrap_or_default().trim();
        all.split_once(RUNBOOK).map_or((all, None), |(says, runbook)| (says, Some(runbook)))
    }

    fn link(&self) -> Option<String> {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !self.full_name.chars().all(is_safe) {
            return None;
        }
        let region = self.region()?;
        let console = format!("https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}");
        Some(format!("{console}#alarmsV2:alarm/{}", self.full_name))
    }
}

/// Without what Slack would take for a link or a mention, and not too long.
fn safe(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars().take(LONGEST) {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alarm(state: &str) -> String {
        json!({
            "AlarmName": "adtrail-AlarmDeadLetters-1A2B3C",
            "AlarmDescription": "A conversion was given up. `adtrail inbox show DEAL` has the reason. Runbook: \
                docs/operations.md#alarmdeadletters",
            "NewStateValue": state,
            "NewStateReason": "Threshold Crossed: 1 datapoint [2.0] was >= the threshold (1.0).",
            "AlarmArn": "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:adtrail-AlarmDeadLetters-1A2B3C",
            "OldStateValue": "OK", "Trigger": {"MetricName": "DeadLettersLastDay"},
        })
        .to_string()
    }

    #[test]
    fn an_alarm_says_what_happened_what_to_do_and_where_to_look() {
        let link = "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1#alarmsV2:alarm/\
             adtrail-AlarmDeadLetters-1A2B3C";
        let expected = format!(
            ":red_circle: *AlarmDeadLetters* of adtrail in eu-central-1\n\
             A conversion was given up. `adtrail inbox show DEAL` has the reason.\n\
             What to do: `docs/operations.md#alarmdeadletters` · <{link}|The alarm in CloudWatch>\n\
             _Threshold Crossed: 1 datapoint [2.0] was &gt;= the threshold (1.0)._"
        );
        assert_eq!(text(Some("ALARM"), &alarm("ALARM")), expected);
    }

    #[test]
    fn an_alarm_that_is_over_says_so() {
        let expected = ":large_green_circle: *AlarmDeadLetters* of adtrail in eu-central-1 is over. It said: A \
             conversion was given up.";
        assert_eq!(text(Some("OK"), &alarm("OK")), expected);
    }

    #[test]
    fn nobody_is_mentioned_and_no_link_is_made_by_what_others_say() {
        let said = text(Some("<!channel>"), "see <https://example.com|here> & there");
        assert_eq!(said, "&lt;!channel&gt;\nsee &lt;https://example.com|here&gt; &amp; there");

        let named =
            json!({"AlarmName": "<!here>|x", "NewStateValue": "ALARM", "AlarmArn": "a:b:c:<!here>:e"}).to_string();
        assert_eq!(text(None, &named), ":red_circle: *&lt;!here&gt;|x* of AWS");
        assert!(text(None, &"x".repeat(100_000)).len() < 2_000);
    }
}
