//! What there is to do after `adtrail setup`.

use super::plan::Plan;
use super::secret::Store;

/// Of a secret that functions may have read before.
const FOLLOWED: &str = "Functions that run already go by the changed secret within five minutes.\n";

/// `name` is what the secret is to be called, `arn` its ARN, if there is one yet.
pub(crate) fn steps(store: &Store, plan: &Plan, name: &str, arn: Option<&str>, has_account: bool) -> String {
    let mut text = match store {
        Store::SecretsManager { region, id, .. } => format!(
            "Next: make deploy\n{}\nThe CRM needs the secret's WEBHOOK_SECRET, and your monitor its HEALTH_KEY. This \
             shows them:\n  aws secretsmanager get-secret-value --region {region} --secret-id {id} --query \
             SecretString --output text\n",
            if plan.secret.is_new || plan.secret.is_empty() { "" } else { FOLLOWED }
        ),
        Store::File(path) => {
            let file = path.display();
            let next = match arn {
                None => format!(
                    "Next: store the file, run this again with the ARN that is printed, and deploy.\n  aws \
                     secretsmanager create-secret --name {name} --secret-string file://{file} --query ARN --output \
                     text\n  adtrail setup --secret-file {file} --secret ARN\n  make deploy\n"
                ),
                Some(arn) if !plan.secret.is_empty() => format!(
                    "Next: store the file, and deploy.\n  aws secretsmanager put-secret-value --secret-id {arn} \
                     --secret-string file://{file}\n  make deploy\n"
                ),
                Some(_) => "Next: make deploy\n".to_owned(),
            };
            format!(
                "{next}\nThe CRM needs the file's WEBHOOK_SECRET, and your monitor its HEALTH_KEY. Delete the file \
                 once it is stored in AWS.\n"
            )
        }
    };
    if !has_account {
        text += "\nGoogle Ads is not set up yet. When it is:\n  adtrail setup --google-ads-account ID \
                 --google-ads-action-closed NUMBER --google-ads-credentials google-key.json\n";
    }
    text
}
