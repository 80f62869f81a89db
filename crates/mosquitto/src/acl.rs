//! `acl_file`: `user`, `topic` and `pattern` lines.

use crate::{
    Fate, Place, Remark, Wrong, limits,
    text::{Text, trim, word},
};

/// Is what a rule gives or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Messages may come.
    Read,
    /// Messages may be sent.
    Write,
    /// Both.
    ReadWrite,
    /// Neither.
    Deny,
}

/// Is one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it gives or takes.
    pub access: Access,
    /// The topic filter, `%c` and `%u` as they stand there.
    pub filter: String,
    /// Where.
    pub place: Place,
}

/// Is what an `acl_file` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acl {
    /// Rules for clients without a user name.
    pub anonymous: Vec<Rule>,
    /// Rules for users, in the order of the file; a name may stand here more than once.
    pub users: Vec<(String, Vec<Rule>)>,
    /// Rules for all.
    pub patterns: Vec<Rule>,
}

/// Reads an `acl_file`. The remarks are about the lines only; what becomes of a rule is for the caller to add.
///
/// # Errors
/// [`Wrong`], where Mosquitto refuses the file too.
pub fn parse(file: &str, bytes: &[u8]) -> Result<(Acl, Vec<Remark>), Wrong> {
    let mut text = Text::new(file, bytes)?;
    let (mut acl, mut count) = (Acl::default(), 0);
    for (number, line) in text.lines() {
        let line = line.trim_end_matches(|c: char| c.is_ascii_whitespace());
        let Some((first, rest)) = word(line) else { continue };
        match first {
            "user" => {
                let name = trim(rest);
                if name.is_empty() {
                    return Err(text.wrong(number, "a name must follow `user`"));
                }
                acl.users.push((name.to_owned(), Vec::new()));
                text.remark(number, line, Fate::Carried, "");
            }
            "topic" | "pattern" => {
                count += 1;
                if count > limits::MAX_RULES {
                    return Err(text.wrong(number, format!("more than {} rules", limits::MAX_RULES)));
                }
                let rule = rule(&text, number, rest)?;
                let list = match (first, acl.users.last_mut()) {
                    ("pattern", _) => &mut acl.patterns,
                    (_, Some((_, list))) => list,
                    (_, None) => &mut acl.anonymous,
                };
                list.push(rule);
                text.remark(number, line, Fate::Carried, "");
            }
            _ => {
                let what = "expected `user NAME`, `topic [read|write|readwrite|deny] FILTER` or `pattern …`; \
                            Mosquitto refuses this line too";
                return Err(text.wrong(number, what));
            }
        }
    }
    Ok((acl, text.into_remarks()))
}

fn rule(text: &Text<'_>, number: u32, rest: &str) -> Result<Rule, Wrong> {
    let Some((first, more)) = word(rest) else {
        return Err(text.wrong(number, "a topic filter must follow"));
    };
    // The filter may hold blanks, but only behind an access word.
    let (access, filter) = if more.is_empty() {
        (Access::ReadWrite, first)
    } else {
        let access = match first {
            "read" => Access::Read,
            "write" => Access::Write,
            "readwrite" => Access::ReadWrite,
            "deny" => Access::Deny,
            _ => {
                let what = "before a filter with blanks stands read, write, readwrite or deny";
                return Err(text.wrong(number, what));
            }
        };
        (access, trim(more))
    };
    if !is_filter(filter) {
        return Err(
            text.wrong(number, "this is no topic filter: `+` and `#` stand alone in a level, `#` last")
        );
    }
    Ok(Rule { access, filter: filter.to_owned(), place: text.place(number) })
}

fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let alone = |level: &&str| !level.contains(['+', '#']) || level.len() == 1;
    let hash_is_last = levels.iter().rev().skip(1).all(|level| *level != "#");
    !text.is_empty() && text.len() <= 65_535 && levels.iter().all(alone) && hash_is_last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Acl {
        parse("acl", text.as_bytes()).unwrap().0
    }

    fn filters(rules: &[Rule]) -> Vec<(Access, &str)> {
        rules.iter().map(|rule| (rule.access, rule.filter.as_str())).collect()
    }

    #[test]
    fn rules_belong_to_the_user_before_them_and_patterns_to_all() {
        let acl = read(
            "topic a\nuser ann  lee \ntopic read b/#\npattern write %u/x\ntopic deny c\nuser ben\ntopic d",
        );
        assert_eq!(filters(&acl.anonymous), [(Access::ReadWrite, "a")]);
        assert_eq!(acl.users[0].0, "ann  lee");
        assert_eq!(filters(&acl.users[0].1), [(Access::Read, "b/#"), (Access::Deny, "c")]);
        assert_eq!(filters(&acl.patterns), [(Access::Write, "%u/x")]);
        assert_eq!((acl.users[1].0.as_str(), acl.users[1].1[0].place.line), ("ben", 7));
    }

    #[test]
    fn a_filter_with_blanks_needs_an_access_word() {
        let acl = read("topic  read  a b \ntopic deny\n");
        assert_eq!(filters(&acl.anonymous), [(Access::Read, "a b"), (Access::ReadWrite, "deny")]);
        assert_eq!(parse("acl", b"topic a b\n").unwrap_err().place.line, 1);
    }

    #[test]
    fn what_mosquitto_refuses_is_refused_with_its_line() {
        for line in
            ["user", "user  ", "topic", "topics a", "topic read a+", "topic #/a", "topic a/#b", " # x"]
        {
            let text = format!("# comment\n{line}\n");
            assert_eq!(parse("acl", text.as_bytes()).unwrap_err().place.line, 2, "{line}");
        }
    }

    #[test]
    fn an_empty_file_holds_no_rule() {
        assert_eq!(read("# nothing\n\n"), Acl::default());
    }
}
