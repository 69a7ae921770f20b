//! A request as a curl command for a POSIX shell.

use std::borrow::Cow;

/// The body of the request.
pub(super) enum Body<'a> {
    /// The content of this file.
    File(&'a str),
    Text(&'a str),
}

/// The command. Every part arrives byte by byte as it was given.
pub(super) fn command(url: &str, headers: &[(String, String)], body: &Body<'_>) -> String {
    // Without it curl reads brackets and braces in the URL as a pattern.
    let mut lines = vec![format!("curl --silent --show-error --globoff {}", quoted(url))];
    lines.extend(headers.iter().map(|(name, value)| format!("--header {}", quoted(&format!("{name}: {value}")))));
    lines.push(match body {
        Body::File(file) => format!("--data-binary {}", quoted(&format!("@{file}"))),
        // Not --data-binary, which reads a text that begins with @ as a file name.
        Body::Text(text) => format!("--data-raw {}", quoted(text)),
    });
    lines.join(" \\\n  ")
}

/// One word of a POSIX shell.
fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in [
            "",
            "plain",
            "it's",
            "''",
            "a b\tc",
            "$HOME `id` $(id) \\ \\n \"x\" !! * ? [a] {b,c} ~ # & ; | < >",
            "two\nlines\n",
            "'\n'",
            "\\",
            "ä€😀",
            "@file",
            "-x",
        ] {
            let script = format!("printf '%s.' {}", quoted(text));
            let printed = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
            assert_eq!(String::from_utf8(printed).unwrap(), format!("{text}."), "{script}");
        }
    }

    #[test]
    fn what_needs_no_quotes_has_none() {
        let headers = [("x-signature".to_owned(), "sha256=00ff".to_owned())];
        assert_eq!(
            command("http://localhost:8080/api/webhooks/acme", &headers, &Body::File("deal.json")),
            "curl --silent --show-error --globoff http://localhost:8080/api/webhooks/acme \\\n  \
             --header 'x-signature: sha256=00ff' \\\n  --data-binary @deal.json"
        );
    }
}
