//! What an actor is asked, as events of the machine.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::{Actor, Answer, AtRest, Message};
use crate::engine::process::has_ended;
use crate::supervise::supervisor::machine::{Event, State};
use crate::supervise::supervisor::records::Notes;
use crate::supervise::supervisor::{failure, streams};
use crate::supervise::wire::{Failure, Reply};

impl Actor {
    pub(super) async fn take(&mut self, message: Message) {
        match message {
            Message::Start { stdio, answer } => self.start(stdio, answer).await,
            Message::Stop { timeout, answer } => {
                self.timeout = timeout;
                self.stop(Event::Stop, AtRest::Answer(answer)).await;
            }
            Message::Restart { timeout, answer } => {
                self.timeout = timeout;
                let then = AtRest::Start {
                    stdio: None,
                    answer,
                };
                self.stop(Event::Stop, then).await;
            }
            Message::Kill { signal, answer } => self.kill(signal, answer).await,
            Message::Pause { answer } => self.simple(Event::Pause, answer).await,
            Message::Unpause { answer } => self.simple(Event::Unpause, answer).await,
            Message::Remove {
                force,
                volumes,
                answer,
            } => {
                self.remove(force, volumes, answer).await;
            }
            Message::Resize { size, answer } => {
                // The asker may have gone, here and below.
                answer.send(self.resize(size)).ok();
            }
            Message::Health {
                run,
                health,
                output,
            } => self.judge(run, health, output),
        }
    }

    pub(super) async fn start(&mut self, stdio: Option<[OwnedFd; 3]>, answer: Answer) {
        if self.is_over() {
            self.note(|notes| notes.stop_requested = true);
            self.at_rest.push(AtRest::Start { stdio, answer });
            return;
        }
        if matches!(self.state, State::Created | State::Exited | State::Waiting) {
            self.stdio = stdio;
            self.restarts = 0;
            self.notes = Notes::default();
        }
        match self.event(Event::Start).await {
            Err(failure) => drop(answer.send(Err(failure))),
            Ok(()) if self.state == State::Running => {
                answer.send(Ok(Reply::Ok)).ok();
            }
            Ok(()) => self.started.push(answer),
        }
    }

    /// Asks for the end; `then` is done when it has come.
    pub(super) async fn stop(&mut self, event: Event, then: AtRest) {
        if !matches!(then, AtRest::Start { .. }) {
            self.give_up_starts();
        }
        if let Err(failure) = self.event(event).await {
            let (AtRest::Answer(answer)
            | AtRest::Start { answer, .. }
            | AtRest::Remove { answer, .. }) = then;
            answer.send(Err(failure)).ok();
            return;
        }
        self.at_rest.push(then);
        if self.state.is_alive() {
            self.note(|notes| notes.stop_requested = true);
        } else {
            self.rest().await;
        }
    }

    /// A start that was put off to the end is overtaken by who asks for nothing
    /// but the end: that of an interrupted `restart`, say.
    fn give_up_starts(&mut self) {
        for then in std::mem::take(&mut self.at_rest) {
            match then {
                AtRest::Start { answer, .. } => drop(answer.send(Err(self.wrong_state()))),
                other => self.at_rest.push(other),
            }
        }
    }

    pub(super) async fn kill(&mut self, signal: i32, answer: Answer) {
        self.signal = signal;
        // As Docker, SIGKILL goes to all processes and is answered when they
        // are gone.
        let alive = self.state.has_process();
        if self.state == State::Waiting || (alive && signal == libc::SIGKILL) {
            self.stop(Event::Destroy, AtRest::Answer(answer)).await;
            return;
        }
        // As Docker, a signal that is meant to end it ends the policy too.
        if alive && signal == self.record.launch.stop_signal {
            self.note(|notes| notes.stop_requested = true);
        }
        self.simple(Event::Signal, answer).await;
    }

    pub(super) async fn remove(&mut self, force: bool, volumes: bool, answer: Answer) {
        let then = AtRest::Remove { volumes, answer };
        if self.is_over() {
            self.note(|notes| notes.stop_requested = true);
            self.at_rest.push(then);
            return;
        }
        if force || !self.state.is_alive() {
            self.stop(Event::Destroy, then).await;
        } else if let AtRest::Remove { answer, .. } = then {
            answer.send(Err(self.wrong_state())).ok();
        }
    }

    /// Whether the process has ended and its exit is on its way to here: who
    /// asks has seen that on disk and in `/proc` already.
    pub(super) fn is_over(&self) -> bool {
        let pidfd = self.run.as_ref().and_then(|run| run.pidfd.as_ref());
        self.state.has_process()
            && pidfd.is_some_and(|pidfd| has_ended(pidfd.as_fd()).unwrap_or(false))
    }

    pub(super) async fn simple(&mut self, event: Event, answer: Answer) {
        let result = self.event(event).await.map(|()| Reply::Ok);
        answer.send(result).ok();
    }

    pub(super) fn resize(&self, size: (u16, u16)) -> Result<Reply, Failure> {
        let key = streams::master_key(self.record.id.as_str());
        let master = self.shared.link.held(&key).ok_or_else(|| {
            failure::text(format!("container `{}` has no terminal", self.record.name))
        })?;
        let size = rustix::termios::Winsize {
            ws_col: size.0,
            ws_row: size.1,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&master, size)
            .map_err(|errno| failure::other(&io::Error::from(errno)))?;
        Ok(Reply::Ok)
    }
}
