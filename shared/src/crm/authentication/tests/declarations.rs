//! Invalid declarations, and settings that can't be secrets: each has an error of its own, with its line and the fix.

use super::*;

fn error(line: &str) -> String {
    let error = declared(line).expect_err(line);
    assert!(error.to_string().contains("line 2"), "{line}\n{error}");
    error.message().to_owned()
}

#[test]
fn the_error_of_an_invalid_declaration_has_its_line_and_the_fix() {
    let hmac = |more: &str| error(&format!(r#"hmac = {{ header = "x-signature", secret = "ACME_SECRET"{more} }}"#));
    for (said, part) in [
        (hmac(r#", signed = "{timestamp}.{body}""#), "say in timestamp_header"),
        (hmac(r#", timestamp_header = "x-time""#), "put {timestamp} into signed"),
        (hmac(r#", timestamp_part = "t""#), "timestamp_part is not signed"),
        (hmac(r#", signed = "{timestamp}.{body}", timestamp_part = "t""#), "signature_part = \"v1\""),
        (
            hmac(r#", signed = "{timestamp}.{body}", timestamp_part = "t", signature_part = "t""#),
            "say what stands before each",
        ),
        (
            hmac(r#", signed = "{timestamp}.{body}", timestamp_header = "X-Signature""#),
            "the time and the signature are in one header",
        ),
        (hmac(r#", signature_part = "v1=""#), "what stands before its ="),
        (hmac(r#", signature_part = """#), "what stands before its ="),
        (hmac(r#", signed = "{id}.{body}""#), "say in id_header"),
        (hmac(r#", signed = "{url}""#), "must have {body} in it"),
        (hmac(r#", signed = """#), "must have {body} in it"),
        (
            hmac(r#", signed = "{uri}{body}""#),
            "unknown placeholder {uri}; there are {body}, {timestamp}, {method}, {url} and",
        ),
        (hmac(r#", signed = "{body""#), "without its other half"),
        (hmac(r#", signed = "body}""#), "without its other half"),
        (hmac(", tolerance_seconds = 300"), "need timestamp_header"),
        (hmac(r#", timestamp_unit = "ms""#), "need timestamp_header"),
        (hmac(r#", prefix = "ü""#), "visible ASCII"),
        (hmac(r#", algorithm = "md5""#), "expected one of `sha256`, `sha1`, `sha512`"),
        (hmac(r#", encoding = "base32""#), "expected `hex` or `base64`"),
        (hmac(r#", secret_encoding = "text""#), "expected one of `raw`, `hex`, `base64`"),
        (hmac(r#", algoritm = "sha1""#), "unknown field `algoritm`, expected one of `header`"),
        (hmac(r#", signed = "{timestamp}{body}", timestamp_header = "x time""#), "is not a header name"),
        (error(r#"hmac = { secret = "ACME_SECRET" }"#), "missing field `header`"),
        (error(r#"hmac = { header = "x signature", secret = "ACME_SECRET" }"#), "as in x-signature"),
        (error("standard_webhooks = {}"), "needs secret"),
        (error(r#"standard_webhooks = { public_key = "whpk_AAAA" }"#), "base64 of its 32 bytes"),
        (error(r#"ed25519 = { header = "x-signature", public_key = "-----BEGIN PUBLIC KEY-----" }"#), "PEM"),
        (error(r#"hubspot_v3 = { secret = "A", url = "example.com/in" }"#), "the whole URL that HubSpot calls"),
        (error(r#"hubspot_v3 = { secret = "A", url = "http://example.com/in" }"#), "the whole URL that HubSpot calls"),
        (error(r#"basic = { user = "a:b", password = "A" }"#), "colon"),
        (error(r#"url = { parameter = "a b", secret = "A" }"#), "parameter must be"),
        (error(r#"bearer = { secret = "ACME_SECRET_PREVIOUS" }"#), "is read automatically"),
        (error("bearer = {}"), "missing field `secret`"),
        (error(r#"token = { secret = "A" }"#), "unknown variant `token`, expected one of `hmac`, `standard_webhooks`"),
    ] {
        assert!(said.contains(part), "{part:?} in {said:?}");
    }
    for seconds in ["0", "-1", "3601", "9223372036854775807"] {
        let said = hmac(&format!(
            r#", signed = "{{timestamp}}{{body}}", timestamp_header = "x-time", tolerance_seconds = {seconds}"#
        ));
        assert!(said.contains("tolerance_seconds must be 1 to 3600"), "{said}");
    }
    let (_, public) = key_pair();
    let said = error(&format!(r#"ed25519 = {{ header = "x", public_key = "{public}", timestamp_header = "x-time" }}"#));
    assert!(said.contains("proves nothing"), "{said}");
}

#[test]
fn in_a_table_of_several_lines_the_line_is_the_field_s() {
    let toml = "[[auth]]\n[auth.hmac]\nheader = 'x-signature'\nsecret = 'ACME_SECRET'\nsigned = '{uri}{body}'\n";
    let error = toml::from_str::<Source>(toml).err().unwrap().to_string();
    assert!(error.contains("line 5"), "{error}");
}

#[test]
fn a_secret_pasted_into_a_declaration_is_not_repeated() {
    for pasted in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "s3cret", "", "1SECRET"] {
        let said = error(&format!(r#"bearer = {{ secret = "{pasted}" }}"#));
        assert!(said.contains("name of a setting") && (pasted.is_empty() || !said.contains(pasted)), "{said}");
    }
}

#[test]
fn a_missing_or_invalid_setting_is_named_with_the_fix() {
    let said = |line: &str, settings: &[(&str, &str)]| {
        let lookup = |name: &str| {
            settings.iter().find(|(setting, _)| *setting == name).map(|(_, value)| SecretString::from(*value))
        };
        Scheme::new(&declared(line).unwrap(), &lookup).expect_err(line)
    };
    let standard = r#"standard_webhooks = { secret = "A" }"#;
    let hmac = |encoding: &str| format!(r#"hmac = {{ header = "x", secret = "A", secret_encoding = "{encoding}" }}"#);
    let bearer = r#"bearer = { secret = "A" }"#;
    for (said, parts) in [
        (said(bearer, &[]), ["The setting A is missing", "ADTRAIL_SECRET_ID"]),
        (said(bearer, &[("A", "")]), ["The setting A is missing", "put the secret"]),
        (said(bearer, &[("A_PREVIOUS", "hush")]), ["The setting A is missing", "put the secret"]),
        (said(bearer, &[("A", "hüsh")]), ["A must be visible ASCII", "openssl rand"]),
        (
            said(bearer, &[("A", "good"), ("A_PREVIOUS", "hush\n")]),
            ["A_PREVIOUS must be visible ASCII", "openssl rand"],
        ),
        (said(standard, &[("A", "hush")]), ["A must be whsec_ and base64", "24 to 64 bytes"]),
        (said(standard, &[("A", "whsec_hush")]), ["A must be whsec_", "24 to 64 bytes"]),
        (said(&hmac("hex"), &[("A", "hush")]), ["A must be hexadecimal", "secret_encoding"]),
        (said(&hmac("base64"), &[("A", "hush-")]), ["A must be base64", "secret_encoding"]),
        (said(r#"close = { secret = "A" }"#, &[("A", "hush")]), ["A must be hexadecimal", "as the sender shows it"]),
    ] {
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} in {said:?}");
        assert!(!said.contains("hush") && !said.contains("hüsh"), "{said}");
    }
}
