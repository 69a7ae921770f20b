//! Several values of one name, as forms and scripts send them.

use serde_json::Value;

use crate::absent::is_nothing;

/// What two values say together. What is empty says nothing beside another, and what is said again nothing new; objects
/// become one, and everything else a list in its order.
pub(super) fn combined(first: Value, second: Value) -> Value {
    if says_nothing(&first) && !second.is_null() {
        return second;
    }
    if says_nothing(&second) {
        return first;
    }
    let mut several = match first {
        Value::Array(several) => several,
        first => vec![first],
    };
    match second {
        Value::Array(more) => more.into_iter().for_each(|value| add(&mut several, value)),
        second => add(&mut several, second),
    }
    if several.len() == 1 { several.remove(0) } else { Value::Array(several) }
}

fn add(several: &mut Vec<Value>, value: Value) {
    if several.contains(&value) {
        return;
    }
    match (several.iter_mut().find(|it| it.is_object()), value) {
        (Some(Value::Object(object)), Value::Object(more)) => {
            for (name, value) in more {
                let known = object.remove(&name).unwrap_or_default();
                object.insert(name, combined(known, value));
            }
        }
        (_, value) => several.push(value),
    }
}

fn says_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(is_nothing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_something_is_kept_once() {
        for (first, second, both) in [
            (json!(null), json!("x"), json!("x")),
            (json!("x"), json!(null), json!("x")),
            (json!(" "), json!("x"), json!("x")),
            (json!("x"), json!("n/a"), json!("x")),
            (json!("{{gclid}}"), json!("x"), json!("x")),
            (json!(null), json!("{{gclid}}"), json!("{{gclid}}")),
            (json!("undefined"), json!(null), json!("undefined")),
            (json!("x"), json!("x"), json!("x")),
            (json!(false), json!("x"), json!([false, "x"])),
            (json!(0), json!(0), json!(0)),
            (json!(["x", "y"]), json!(["y", "z"]), json!(["x", "y", "z"])),
            (json!({"a": ""}), json!({"a": "x", "b": 1}), json!({"a": "x", "b": 1})),
            (json!({"a": "denied"}), json!("granted"), json!([{"a": "denied"}, "granted"])),
        ] {
            assert_eq!(combined(first.clone(), second.clone()), both, "{first} and {second}");
        }
    }
}
