//! A program on a terminal of its own, and the screen that a person would see.
//!
//! A transcript talks to programs through pipes. Some things happen only on a terminal: the prompt, Ctrl-C and Ctrl-D as
//! keys, colours, long lines that wrap, a window that is closed. They are tested here.
//!
//! ```no_run
//! use shared::testing::screen::Screen;
//! use std::process::Command;
//!
//! let mut program = Command::new("target/debug/lab5"); // in a test: env!("CARGO_BIN_EXE_lab5")
//! program.args(["predict", "1"]).env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092");
//! let mut screen = Screen::start(program, 100, 30); // columns and rows
//! screen.wait_for("> "); // whatever the program printed before it
//! screen.type_line("c"); // and Enter
//! let readme = std::fs::read_to_string("README.md").unwrap();
//! screen.wait_for_block(&readme, "make lab5-predict STAGE=1"); // the screen is what the README shows
//! assert_eq!(screen.ended(), Some(0));
//! ```
//!
//! Nothing sleeps: each wait is woken by what the program prints, and panics with the screen after 30 s. A line that wraps is one line
//! of [`Screen::shown`], and several of [`Screen::rows`]. Whatever runs at the end of a test is killed.

use super::transcript::readme::{self, agrees};
use super::{LIMIT, without_surroundings};
use crate::config::DEFAULT_BOOTSTRAP_SERVERS;
use pty_process::Size;
use pty_process::blocking::{Pty, open};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, kill_process};
use std::fmt;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A program, its terminal, and what the terminal shows. Dropping it kills the program.
pub struct Screen {
    program: Pid,
    /// The broker that the program was told of by `KAFKA_BOOTSTRAP_SERVERS`.
    broker: Option<String>,
    /// `None`: the window was closed.
    terminal: Option<Arc<Pty>>,
    /// Dropping it ends the thread that reads.
    _reading: Option<UnixStream>,
    view: Arc<View>,
}

impl Screen {
    /// Starts the program on a terminal of this size. It does not see the variables for labs that this test's surroundings
    /// have set.
    ///
    /// # Panics
    /// When there is no such program, no terminal to be had, or the size is zero.
    pub fn start(mut program: Command, columns: u16, rows: u16) -> Self {
        without_surroundings(&mut program);
        program.env("TERM", "xterm-256color");
        let (terminal, theirs) = open().expect("the system gives a pseudo-terminal");
        terminal.resize(Size::new(rows, columns)).expect("a new terminal can be resized");
        let broker = program.get_envs().find_map(|(name, value)| {
            let value = value.filter(|_| name == "KAFKA_BOOTSTRAP_SERVERS")?;
            Some(value.to_string_lossy().into_owned())
        });
        let described = format!("{program:?}");
        let child = pty_process::blocking::Command::from(program)
            .spawn(theirs)
            .unwrap_or_else(|error| panic!("{described}: {error}"));

        let size = |number| NonZeroU16::new(number).expect("a screen has rows and columns");
        let view = Arc::new(View {
            now: Mutex::new(Now {
                screen: vt100::Parser::new(size(rows), size(columns), 0),
                silent: false,
                status: None,
            }),
            changed: Condvar::new(),
        });
        let terminal = Arc::new(terminal);
        let (ours, closed) = UnixStream::pair().expect("the system gives a pair of sockets");
        let program = Pid::from_child(&child);
        let (reads, shows, waits) = (Arc::clone(&terminal), Arc::clone(&view), Arc::clone(&view));
        thread::spawn(move || shows.all(reads, &closed));
        thread::spawn(move || waits.end(child));
        Self { program, broker, terminal: Some(terminal), _reading: Some(ours), view }
    }

    /// Types the text and Enter.
    ///
    /// # Panics
    /// When the window was closed.
    pub fn type_line(&mut self, text: &str) {
        self.type_text(&format!("{text}\r"));
    }

    /// Types the text, without Enter.
    ///
    /// # Panics
    /// When the window was closed.
    pub fn type_text(&mut self, text: &str) {
        let terminal = self.terminal.as_deref();
        let mut terminal = terminal.expect("nobody types into a window that was closed");
        terminal.write_all(text.as_bytes()).expect("a terminal takes keys");
    }

    /// Presses Ctrl with a letter: `'c'`, `'d'`.
    ///
    /// # Panics
    /// When the window was closed.
    pub fn press_ctrl(&mut self, letter: char) {
        let key = char::from(u8::try_from(letter).expect("a letter of the keyboard") & 0x1f);
        self.type_text(&key.to_string());
    }

    /// Closes the window: the program gets SIGHUP, and what it prints from now on is an error.
    pub fn close(&mut self) {
        self._reading = None;
        self.terminal = None;
        // The thread that reads holds the terminal as long as it runs.
        self.view.wait_until("that the window is closed", |now| now.silent);
    }

    /// Waits until the screen shows the text.
    ///
    /// # Panics
    /// When it does not come.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |shown| shown.contains(text));
    }

    /// Waits until the screen fulfils a condition; `what` describes it.
    ///
    /// # Panics
    /// When it does not come true.
    pub fn wait_until(&self, what: &str, fulfilled: impl Fn(&str) -> bool) {
        self.view.wait_until(what, |now| fulfilled(&now.shown()));
    }

    /// Waits until the screen shows a README's `console` block, the one that starts with this command. A line `^D` is the
    /// prompt that nobody answered. The address in `KAFKA_BOOTSTRAP_SERVERS`, if the test has set it, counts as the README's.
    ///
    /// # Panics
    /// When the README has no such block, or the screen never shows it.
    pub fn wait_for_block(&self, readme: &str, command: &str) {
        let block = readme::block(readme, command).unwrap_or_else(|error| panic!("{error:#}"));
        let written = block.on_a_screen();
        self.view.wait_until(&written.join("\n"), |now| {
            let mut shown = now.shown();
            if let Some(broker) = &self.broker {
                shown = shown.replace(broker, DEFAULT_BOOTSTRAP_SERVERS);
            }
            let shown: Vec<_> = shown.lines().map(|line| line.trim_end().to_owned()).collect();
            agrees(&written, &shown, block.any_order)
        });
    }

    /// The screen as lines; one that wraps is one line.
    pub fn shown(&self) -> String {
        self.view.lock().shown()
    }

    /// The screen as rows, as a person counts them.
    pub fn rows(&self) -> Vec<String> {
        let now = self.view.lock();
        let screen = now.screen.screen();
        let mut rows: Vec<_> = screen.rows(0, screen.size().1.get()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Waits for the program's end, and says its exit code: `None` if a signal ended it.
    ///
    /// # Panics
    /// When it does not end, or leaves the cursor behind a text, where the shell's prompt would then stand.
    pub fn ended(&mut self) -> Option<i32> {
        self.view.wait_until("the end", |now| now.silent && now.status.is_some());
        let now = self.view.lock();
        let column = now.screen.screen().cursor_position().1;
        assert!(
            self.terminal.is_none() || column == 0,
            "The last line has no end:\n{}",
            now.shown()
        );
        now.status.and_then(|status| status.code())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.view.lock().status.is_none() {
            // It may just have ended by itself.
            let _ = kill_process(self.program, Signal::KILL);
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Screen").field(&self.shown()).finish()
    }
}

/// What two threads find out, and tests wait for.
struct View {
    now: Mutex<Now>,
    changed: Condvar,
}

struct Now {
    screen: vt100::Parser,
    /// Nothing more will be shown.
    silent: bool,
    /// How the program ended.
    status: Option<ExitStatus>,
}

impl Now {
    fn shown(&self) -> String {
        self.screen.screen().contents()
    }
}

impl View {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait_until(&self, what: &str, fulfilled: impl Fn(&Now) -> bool) {
        let hopeless = |now: &Now| now.silent && now.status.is_some();
        let wait = |now: &mut Now| !fulfilled(now) && !hopeless(now);
        let waited = self.changed.wait_timeout_while(self.lock(), LIMIT, wait);
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let end =
            now.status.map_or("It still runs.".to_owned(), |status| format!("It ended: {status}."));
        assert!(fulfilled(&now), "\nexpected:\n{what}\n\nThe screen:\n{}\n\n{end}\n", now.shown());
    }

    /// Shows what the program prints, until it has ended or the window is closed.
    fn all(&self, terminal: Arc<Pty>, closed: &UnixStream) {
        let mut bytes = [0; 4096];
        loop {
            let mut ready =
                [PollFd::new(&terminal, PollFlags::IN), PollFd::new(closed, PollFlags::IN)];
            let polled = retry_on_intr(|| poll(&mut ready, None));
            if polled.is_err() || !ready[1].revents().is_empty() {
                break;
            }
            match (&*terminal).read(&mut bytes) {
                // Linux says so by an error, others by an end.
                Ok(0) | Err(_) => break,
                Ok(n) => self.change(|now| now.screen.process(&bytes[..n])),
            }
        }
        // Where the window was closed, nobody else has the terminal now.
        drop(terminal);
        self.change(|now| now.silent = true);
    }

    fn end(&self, mut child: Child) {
        let status = child.wait().ok();
        self.change(|now| now.status = status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, columns: u16, rows: u16) -> Screen {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        Screen::start(shell, columns, rows)
    }

    #[test]
    fn keys_go_in_and_a_screen_comes_out() {
        let mut screen =
            shell("printf '> '; read x; echo heard $x; read y || echo the end; exit 3", 12, 4);
        screen.wait_for("> ");
        screen.type_line("one two");
        screen.wait_for("heard one two");
        screen.press_ctrl('d');
        screen.wait_for("the end");
        assert_eq!(screen.ended(), Some(3));
        assert_eq!(screen.shown(), "heard one two\nthe end");
        assert_eq!(screen.rows(), ["heard one tw", "o", "the end"]);
    }

    #[test]
    fn ctrl_c_is_a_signal_and_shows() {
        let mut screen =
            shell("trap 'echo; exit 0' INT; echo ready; while :; do read x; done", 20, 4);
        screen.wait_for("ready");
        screen.press_ctrl('c');
        assert_eq!(screen.ended(), Some(0));
        assert_eq!(screen.shown(), "ready\n^C");
    }

    #[test]
    fn a_closed_window_is_a_signal_and_no_output() {
        let mut screen =
            shell("trap 'echo x || exit 7' HUP; echo ready; while :; do read x; done", 20, 4);
        screen.wait_for("ready");
        screen.close();
        assert_eq!(screen.ended(), Some(7));
    }

    #[test]
    #[should_panic(expected = "The last line has no end")]
    fn the_shells_prompt_needs_a_line_of_its_own() {
        shell("printf unfinished", 20, 4).ended();
    }

    #[test]
    #[should_panic(expected = "It ended: exit status: 0.")]
    fn what_never_comes_is_noticed_at_the_end() {
        shell("echo one", 20, 4).wait_for("two");
    }
}
