//! Characters that nobody sees: they make two texts look alike, or turn the order of one around.

/// Does this character show nothing by itself? Format characters, bidirectional marks, tags, zero-width and filler
/// characters, variation selectors, and the two separators that end a line (Unicode, `Default_Ignorable_Code_Point` and
/// the categories Cf, Zl and Zp). White space and control characters aren't among them.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{890}'..='\u{891}'
        | '\u{8E2}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{110BD}' | '\u{110CD}'
        | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_visible() {
        let written = "Jürgen Đặng Ł 李 محمد שלום हिन्दी ไทย 한글 e\u{301} 😀 …–’ \t\n\u{a0}\u{3000}<@.";
        assert!(!written.contains(is_invisible), "{written}");
        for hidden in ["\u{200b}", "\u{200d}", "\u{202e}", "\u{2066}", "\u{feff}", "\u{ad}", "\u{e0041}", "\u{2028}"] {
            assert!(hidden.contains(is_invisible), "{}", hidden.escape_unicode());
        }
    }
}
