//! Pointers that can't find anything, whatever is sent.

use super::Step;

/// # Errors
/// If this part of a pointer can't be meant so, and the fix.
pub(super) fn check(part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err("has an empty name in it: leave out the / that is too many".into());
    }
    if part.len() > 1 && part.chars().all(|c| c == '*') {
        return Err(format!(
            "has {part} in it, but * is every element of one level: write one * for each, such as /*/*"
        ));
    }
    match part.split_once('[') {
        Some((list, rest)) => check_brackets(list, rest),
        None if part.contains('=') && part.ends_with(']') => {
            Err(format!("has a ] without its [ in {part}: write list[name=value]"))
        }
        None => Ok(()),
    }
}

fn check_brackets(list: &str, rest: &str) -> Result<(), String> {
    let part = format!("{list}[{rest}");
    let open = part.rsplit_once('[').is_some_and(|(_, after)| !after.contains(']'));
    let Some((key, is)) = rest.split_once('=') else {
        return if open { Err(format!("has a [ that isn't closed in {part}: write {part}]")) } else { Ok(()) };
    };
    let Some(is) = is.strip_suffix(']') else {
        return Err(match part.rsplit_once(']') {
            Some((choice, after)) if !open => {
                format!("has something after the ] in {part}: write {choice}]/{}", after.trim_start_matches('.'))
            }
            _ => format!("has a [ that isn't closed in {part}: write {part}]"),
        });
    };
    let is_quoted = is.len() > 1 && is.starts_with('"') && is.ends_with('"');
    if key.trim().is_empty() {
        Err(format!("chooses by no name in {part}: write {list}[name={is}], with the name that has the value"))
    } else if key.contains(['[', ']']) || (is.contains("][") && !is_quoted) {
        Err(format!("has several brackets in {part}: choose in one place, with / before the next, as in a/0/[name=x]"))
    } else if is.trim().is_empty() {
        Err(format!("chooses by no value in {part}: write {list}[{key}=value], or {list}[{key}=\"\"] for an empty one"))
    } else if list.chars().all(|c| c == '*') && !list.is_empty() {
        Err(format!("has {list} before a choice in {part}: write {list}/[{rest}"))
    } else {
        Ok(())
    }
}

impl Step {
    /// The JSON Pointer that is meant by a bracketed name of a form, such as `leads[0][id]`: no JSON has such names.
    pub(super) fn of_form(&self) -> Option<String> {
        let Self::Name(name) = self else { return None };
        let (root, rest) = name.split_once('[')?;
        let parts: Vec<&str> = rest.strip_suffix(']')?.split("][").collect();
        let is_plain = |part: &&str| !part.contains(|c: char| "[]=".contains(c) || c.is_whitespace());
        let all = std::iter::once(root).chain(parts);
        all.clone().all(|part| is_plain(&part)).then(|| all.map(|part| "/".to_owned() + part).collect())
    }
}
