//! The documents spell the commands as they are.

use clap::Parser;
use clap::error::ErrorKind;

use super::Arguments;

const PAGES: [(&str, &str); 11] = [
    ("README.md", include_str!("../../../README.md")),
    ("migrations/README.md", include_str!("../../../migrations/README.md")),
    ("docs/architecture.md", include_str!("../../../docs/architecture.md")),
    ("docs/crm.md", include_str!("../../../docs/crm.md")),
    ("docs/deploy.md", include_str!("../../../docs/deploy.md")),
    ("docs/doctor.md", include_str!("../../../docs/doctor.md")),
    ("docs/google-ads.md", include_str!("../../../docs/google-ads.md")),
    ("docs/operations.md", include_str!("../../../docs/operations.md")),
    ("docs/operator.md", include_str!("../../../docs/operator.md")),
    ("docs/settings.md", include_str!("../../../docs/settings.md")),
    ("docs/website.md", include_str!("../../../docs/website.md")),
];

/// What a page has in code, and whether it is a whole command or, within a sentence, maybe only its name.
fn commands(page: &str) -> Vec<(String, bool)> {
    let mut commands = Vec::new();
    let mut is_block = false;
    for line in page.replace("\\\n", " ").lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if is_block {
            commands.push((line.trim().to_owned(), true));
        } else {
            commands.extend(line.split('`').skip(1).step_by(2).map(|code| (code.to_owned(), false)));
        }
    }
    commands
}

/// The arguments of `adtrail`, up to what the shell takes for itself.
fn arguments(command: &str) -> Option<Vec<String>> {
    let words = shlex::split(command)?;
    let mut words = words.into_iter().skip_while(|word| word.contains('=') && !word.starts_with('-'));
    match words.next()?.as_str() {
        "adtrail" => {}
        "cargo" => {
            let cargo: Vec<_> = words.by_ref().take_while(|word| word != "--").collect();
            if cargo.first().is_none_or(|word| word != "run") || !cargo.iter().any(|word| word == "cli") {
                return None;
            }
        }
        _ => return None,
    }
    let own = words.take_while(|word| !["|", "&&", ">", ";"].contains(&word.as_str()));
    Some(std::iter::once("adtrail".to_owned()).chain(own.filter(|word| word != "…")).collect())
}

/// What is wrong with the commands of a page.
fn misspelled(page: &str) -> Vec<String> {
    let wrong = commands(page).into_iter().filter_map(|(command, is_whole)| {
        let kind = Arguments::try_parse_from(arguments(&command)?).err()?.kind();
        let is_name = matches!(
            kind,
            ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        let is_right = matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) || (is_name && !is_whole);
        (!is_right).then(|| format!("{command}: {kind}"))
    });
    wrong.collect()
}

#[test]
fn every_command_in_the_documents_exists() {
    for (name, page) in PAGES {
        assert_eq!(misspelled(page), [""; 0], "{name}");
    }
}

#[test]
fn what_a_document_spells_wrong_is_named() {
    let page = "`adtrail inbox shwo` and `adtrail inbox show`\n```sh\nadtrail migrate --yse\nadtrail inbox show\n\
                X=1 cargo run --package cli -- crm sign | sh\nadtrail inbox list \\\n  --limit 5 | cat   # the newest\n```\n";

    let wrong = misspelled(page);

    assert_eq!(wrong.len(), 4, "{wrong:?}");
    for (found, expected) in wrong.iter().zip(["inbox shwo", "migrate --yse", "inbox show", "crm sign"]) {
        assert!(found.contains(expected), "{found}");
    }
}
