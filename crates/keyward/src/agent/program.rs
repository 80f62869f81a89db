//! Runs a program, never through a shell, with a bound on its time and on what it says.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Bytes of what a program says that are read; one reading holds as much.
const OUTPUT_BYTES: u64 = 63 * 1_024;

/// Runs a program with `input`, and returns what it wrote to its standard output. It is killed after `within`.
///
/// # Errors
/// A sentence: it could not be started, took too long, said too much, or ended with another code than 0.
pub(crate) fn run(argv: &[String], input: &[u8], within: Duration) -> Result<Vec<u8>, String> {
    let (program, arguments) = argv.split_first().ok_or("there is no program to run")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let output = converse(&mut child, input, within);
    if output.is_err() {
        // It may have ended meanwhile.
        drop(child.kill());
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let output = output?;
    if status.success() { Ok(output) } else { Err(format!("it ended with {status}")) }
}

fn converse(child: &mut Child, input: &[u8], within: Duration) -> Result<Vec<u8>, String> {
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take());
    let input = input.to_vec();
    let (done, heard) = sync_channel(1);
    let write = move || {
        // A program need not read its input.
        stdin.as_mut().map(|stdin| stdin.write_all(&input)).map(drop).unwrap_or_default();
    };
    let read = move || {
        let mut output = Vec::new();
        let read = stdout.as_mut().map(|out| out.take(OUTPUT_BYTES + 1).read_to_end(&mut output));
        drop(done.send(read.and_then(Result::ok).map(|_| output)));
    };
    for (name, work) in [("input", Box::new(write) as Box<dyn FnOnce() + Send>), ("output", Box::new(read))] {
        thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| error.to_string())?;
    }
    match heard.recv_timeout(within) {
        Ok(Some(output)) if output.len() as u64 <= OUTPUT_BYTES => Ok(output),
        Ok(Some(_)) => Err("it said more than 63 KiB".to_owned()),
        Ok(None) => Err("its output could not be read".to_owned()),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(format!("it took longer than {} s", within.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, within: Duration) -> Result<Vec<u8>, String> {
        run(&["/bin/sh", "-c", script].map(str::to_owned), b"21.5", within)
    }

    #[test]
    fn a_program_gets_its_input_and_is_bound_in_time_and_words() {
        let long = Duration::from_secs(20);
        assert_eq!(sh("cat", long), Ok(b"21.5".to_vec()));
        assert!(sh("exit 3", long).is_err_and(|problem| problem.contains('3')));
        assert!(
            sh("exec sleep 60", Duration::from_millis(50)).is_err_and(|problem| problem.contains("longer"))
        );
        assert!(sh("head -c 70000 /dev/zero", long).is_err_and(|problem| problem.contains("63 KiB")));
        assert!(run(&["/no/such".to_owned()], b"", long).is_err());
    }
}
