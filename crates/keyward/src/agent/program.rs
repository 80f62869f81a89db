//! Runs a program, never through a shell, with a bound on its time and on what it says.

use crate::clock;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Bytes of what a program says that are read; one reading holds as much.
const OUTPUT_BYTES: u64 = 63 * 1_024;

/// Runs a program with `input`, and returns what it wrote to its standard output when it has ended. After `within` it is killed, with all that it started
/// and did not take out of its process group.
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
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let output = converse(&mut child, input, within);
    if output.is_err() {
        // It may have ended meanwhile.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let output = output?;
    if status.success() { Ok(output) } else { Err(format!("it ended with {status}")) }
}

/// Is what a thread beside a program does.
type Work = Box<dyn FnOnce() + Send>;

/// Is what is heard of a program that runs.
enum Heard {
    Output(Option<Vec<u8>>),
    End,
}

fn converse(child: &mut Child, input: &[u8], within: Duration) -> Result<Vec<u8>, String> {
    let deadline = clock::now() + within;
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take());
    let (input, pid) = (input.to_vec(), Pid::from_child(child));
    let (done, heard) = sync_channel(2);
    let ended = done.clone();
    let write = move || {
        // A program need not read its input.
        stdin.as_mut().map(|stdin| stdin.write_all(&input)).map(drop).unwrap_or_default();
    };
    let read = move || {
        let mut output = Vec::new();
        let read = stdout.as_mut().map(|out| out.take(OUTPUT_BYTES + 1).read_to_end(&mut output));
        drop(done.send(Heard::Output(read.and_then(Result::ok).map(|_| output))));
    };
    let wait = move || {
        // It is not waited for yet, so that its id is nobody else's if it has to be killed.
        let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
        drop(ended.send(Heard::End));
    };
    let works: [(&str, Work); 3] =
        [("input", Box::new(write)), ("output", Box::new(read)), ("end", Box::new(wait))];
    for (name, work) in works {
        thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| error.to_string())?;
    }
    let (mut output, mut has_ended) = (None, false);
    while output.is_none() || !has_ended {
        match heard.recv_timeout(deadline.saturating_duration_since(clock::now())) {
            Ok(Heard::End) => has_ended = true,
            Ok(Heard::Output(Some(said))) if said.len() as u64 <= OUTPUT_BYTES => output = Some(said),
            Ok(Heard::Output(Some(_))) => return Err("it said more than 63 KiB".to_owned()),
            Ok(Heard::Output(None)) => return Err("its output could not be read".to_owned()),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(format!("it took longer than {} s", within.as_secs()));
            }
        }
    }
    Ok(output.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, within: Duration) -> Result<Vec<u8>, String> {
        run(&["/bin/sh", "-c", script].map(str::to_owned), b"21.5", within)
    }

    /// What a program started keeps its output open, and would be there for ever.
    #[test]
    fn with_a_program_that_takes_too_long_ends_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; wait", file.display());
        assert!(sh(&script, Duration::from_secs(1)).is_err_and(|problem| problem.contains("longer")));
        let pid = std::fs::read_to_string(file).unwrap();
        // It is told to end, and does when its turn comes.
        let deadline = clock::now() + Duration::from_secs(20);
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        while ![") Z ", ") X "].iter().any(|end| state().contains(end)) && !state().is_empty() {
            assert!(clock::now() < deadline, "{}", state());
            thread::yield_now();
        }
    }

    #[test]
    fn a_program_gets_its_input_and_is_bound_in_time_and_words() {
        let long = Duration::from_secs(20);
        assert_eq!(sh("cat", long), Ok(b"21.5".to_vec()));
        assert!(sh("exit 3", long).is_err_and(|problem| problem.contains('3')));
        assert!(
            sh("exec sleep 60", Duration::from_millis(50)).is_err_and(|problem| problem.contains("longer"))
        );
        // One that closes its output and goes on is bound, too.
        let begun = clock::now();
        assert!(
            sh("exec >&-; exec sleep 5", Duration::from_millis(50))
                .is_err_and(|problem| problem.contains("longer"))
        );
        assert!(begun.elapsed() < Duration::from_secs(4));
        assert!(sh("head -c 70000 /dev/zero", long).is_err_and(|problem| problem.contains("63 KiB")));
        assert!(run(&["/no/such".to_owned()], b"", long).is_err());
    }
}
