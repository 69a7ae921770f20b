//! Names in JSON Pointers (RFC 6901).

/// The name as a part of a pointer.
#[must_use]
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The name that a part of a pointer is.
#[must_use]
pub fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The names that a pointer goes along.
pub fn names(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_after_a_pointer_had_it() {
        for (name, part) in [("a/b", "a~1b"), ("a~1b", "a~01b"), ("~/", "~0~1"), ("", ""), ("E-mail", "E-mail")] {
            assert_eq!((escaped(name).as_str(), unescaped(part).as_str()), (part, name));
        }
        assert_eq!(names("/a~1b//0").collect::<Vec<_>>(), ["a/b", "", "0"]);
        assert_eq!(names("").count(), 0);
    }
}
