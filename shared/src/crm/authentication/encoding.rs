//! Bytes as text. The same bytes have one valid text, or two in hexadecimal, so a signature can't be altered and stay
//! valid.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::identity::hex;

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SignatureEncoding {
    /// Hexadecimal, in upper or lower case, but not mixed.
    #[default]
    Hex,
    /// The standard alphabet, padded.
    Base64,
}

impl SignatureEncoding {
    pub(super) fn base64() -> Self {
        Self::Base64
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }

    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => unhex(text),
            Self::Base64 => STANDARD.decode(text).ok(),
        }
    }
}

/// How the text in a setting stands for the bytes of a secret.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecretEncoding {
    /// The text's own bytes.
    #[default]
    Raw,
    Hex,
    Base64,
}

impl SecretEncoding {
    /// The error says what the setting must be.
    pub(super) fn decode(self, text: &str) -> Result<Vec<u8>, String> {
        let (bytes, name) = match self {
            Self::Raw => return Ok(text.as_bytes().to_vec()),
            Self::Hex => (SignatureEncoding::Hex.decode(text), "hexadecimal (an even number of digits)"),
            Self::Base64 => {
                (SignatureEncoding::Base64.decode(text), "base64 (the standard alphabet, with its padding)")
            }
        };
        bytes.ok_or_else(|| format!("must be {name}: paste it as the sender shows it, or change secret_encoding"))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_mixed = text.bytes().any(|c| c.is_ascii_lowercase()) && text.bytes().any(|c| c.is_ascii_uppercase());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if is_mixed || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_stands_for_the_bytes() {
        assert_eq!(SignatureEncoding::Hex.decode("00ff1a"), Some(vec![0, 255, 26]));
        assert_eq!(SignatureEncoding::Hex.decode("00FF1A"), Some(vec![0, 255, 26]));
        for bad in ["00fF1a", "0", "0g", "+1", " 00", "00 ", "é"] {
            assert_eq!(SignatureEncoding::Hex.decode(bad), None, "{bad}");
        }
        assert_eq!(SignatureEncoding::Base64.decode("AP8="), Some(vec![0, 255]));
        for bad in ["AP8", "AP9=", "AP8==", "A P8=", "AP8=\n", "AP-=", "AP_="] {
            assert_eq!(SignatureEncoding::Base64.decode(bad), None, "{bad}");
        }
    }
}
