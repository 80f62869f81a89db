//! Passwords on their way in: from standard input, a file or a terminal, never from an argument.

use crate::failure::{Failure, Outcome};
use keyward_server::control::{NewPassword, Secret};
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// The longest password that is read, in bytes: far above what people choose, far below what fills memory.
const PASSWORD_BYTES: usize = 1_024;

/// Reads a password from the first line of standard input.
pub(crate) fn from_stdin() -> Outcome<NewPassword> {
    let text = first_line(&mut io::stdin().lock(), "standard input")?;
    Ok(NewPassword::Chosen(Secret::new(text.to_string())))
}

/// Reads the hash of a password from the first line of standard input.
pub(crate) fn hash_from_stdin() -> Outcome<NewPassword> {
    let text = first_line(&mut io::stdin().lock(), "standard input")?;
    Ok(NewPassword::Imported(Secret::new(text.to_string())))
}

/// Asks for a password twice at the terminal.
pub(crate) fn ask_twice(who: &str) -> Outcome<NewPassword> {
    if !io::stdin().is_terminal() {
        return Err(Failure::misuse("there is no terminal to ask at; use --password-stdin"));
    }
    let first = prompt(&format!("New password of {who}: "))?;
    let second = prompt("Again: ")?;
    if *first != *second {
        return Err(Failure::failed("the two passwords differ; nothing was changed"));
    }
    if first.is_empty() {
        return Err(Failure::failed("an empty password is no password; nothing was changed"));
    }
    Ok(NewPassword::Chosen(Secret::new(first.to_string())))
}

/// Asks for a passphrase at the terminal.
pub(crate) fn ask_once(question: &str) -> Outcome<Zeroizing<String>> {
    prompt(question)
}

/// Asks for a new passphrase twice at the terminal.
pub(crate) fn ask_new(question: &str) -> Outcome<Zeroizing<String>> {
    let first = prompt(question)?;
    let second = prompt("Again: ")?;
    if *first == *second { Ok(first) } else { Err(Failure::failed("the two differ; nothing was made")) }
}

/// Reads the password of a login from a file, or from standard input if the path is `-`.
pub(crate) fn from_file(path: &Path, who: &str) -> Outcome<Zeroizing<Vec<u8>>> {
    let text = if path == Path::new("-") {
        let mut stdin = io::stdin();
        if stdin.is_terminal() {
            prompt(&format!("Password of {who}: "))?
        } else {
            first_line(&mut stdin, "standard input")?
        }
    } else {
        let mut file = std::fs::File::open(path).map_err(|error| Failure::file(path, &error))?;
        first_line(&mut file, &path.display().to_string())?
    };
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

fn prompt(question: &str) -> Outcome<Zeroizing<String>> {
    rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|error| Failure::failed(format!("cannot ask at the terminal: {error}")))
}

fn first_line(source: &mut impl Read, name: &str) -> Outcome<Zeroizing<String>> {
    // Room for everything at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSWORD_BYTES + 2));
    let mut byte = [0];
    loop {
        let count = source
            .read(&mut byte)
            .map_err(|error| Failure::failed(format!("cannot read the password from {name}: {error}")))?;
        if count == 0 || byte[0] == b'\n' {
            break;
        }
        if bytes.len() > PASSWORD_BYTES {
            return Err(Failure::failed(format!(
                "the password in {name} is longer than {PASSWORD_BYTES} bytes; the first line is read"
            )));
        }
        bytes.push(byte[0]);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::failed(format!("the password in {name} is not UTF-8 text")))?;
    if text.is_empty() {
        return Err(Failure::failed(format!("{name} holds no password; put it into the first line")));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Outcome<Zeroizing<String>> {
        first_line(&mut text.as_bytes(), "x")
    }

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        assert_eq!(*read("correct horse\nnext").unwrap(), "correct horse");
        assert_eq!(*read("a b\r\n").unwrap(), "a b");
        assert_eq!(*read("no end").unwrap(), "no end");
    }

    #[test]
    fn an_empty_or_endless_password_is_refused() {
        assert!(read("").is_err());
        assert!(read("\n").is_err());
        assert!(read(&"x".repeat(PASSWORD_BYTES + 2)).is_err());
    }
}
