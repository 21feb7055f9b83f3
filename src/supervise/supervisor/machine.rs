//! A container's life as a state machine: pure, total, and tested over all
//! pairs of state and event. Effects are carried out by `actor`.

use crate::supervise::record::RunState;

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Never started.
    Created,
    /// Between a request to start and the execution of its program.
    Starting,
    /// As `Starting`, but its end was asked for meanwhile.
    Aborting,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Its end was asked for.
    Stopping,
    /// Ended; the restart policy's pause runs.
    Waiting,
    /// Ended.
    Exited,
    /// Its records are gone.
    Removed,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Asked to start.
    Start,
    /// Its program was executed.
    Launched,
    /// It could not be executed.
    LaunchFailed,
    /// Asked to freeze.
    Pause,
    /// Asked to thaw.
    Unpause,
    /// Asked to end.
    Stop,
    /// The time to end by itself is over.
    GraceOver,
    /// Asked to pass a signal on.
    Signal,
    /// Asked to end at once.
    Destroy,
    /// Its process 1 ended, and the restart policy has its say.
    Ended {
        /// What the policy says.
        restart: bool,
    },
    /// The restart policy's pause is over.
    BackoffOver,
    /// Asked to vanish.
    Remove,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Make the process.
    Launch,
    /// The program runs: write it down, tell, begin to probe.
    Announce,
    /// Freeze the group, stop probing.
    Freeze,
    /// Thaw the group, probe again.
    Thaw,
    /// Send the signal that asks the program to end.
    AskToEnd,
    /// Start the clock of the grace time.
    ArmGrace,
    /// SIGKILL to the whole group.
    Kill,
    /// Send the requested signal to process 1.
    Signal,
    /// The run is over: complete log and records, tell, take down.
    Finish,
    /// Start the clock of the restart policy.
    ArmBackoff,
    /// Forget that clock; the container ends as if it had been stopped.
    GiveUpRestart,
    /// Remove records and folders.
    Discard,
}

/// Why an event is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The container's state does not allow it.
    WrongState,
    /// It cannot happen: a fault in the caller.
    Impossible,
}

impl State {
    /// The state after an event, and what is to be done.
    pub(super) fn next(self, event: Event) -> Result<(Self, &'static [Effect]), Refusal> {
        match event {
            Event::Start => self.start(),
            Event::Launched => match self {
                Self::Starting => Ok((Self::Running, &[Effect::Announce])),
                Self::Aborting => Ok((
                    Self::Stopping,
                    &[Effect::Announce, Effect::AskToEnd, Effect::ArmGrace],
                )),
                _ => Err(Refusal::Impossible),
            },
            Event::LaunchFailed => match self {
                Self::Starting | Self::Aborting => Ok((Self::Exited, &[])),
                _ => Err(Refusal::Impossible),
            },
            Event::Pause => match self {
                Self::Running => Ok((Self::Paused, &[Effect::Freeze])),
                _ => Err(Refusal::WrongState),
            },
            Event::Unpause => match self {
                Self::Paused => Ok((Self::Running, &[Effect::Thaw])),
                _ => Err(Refusal::WrongState),
            },
            Event::Stop => self.stop(),
            Event::Destroy => self.destroy(),
            Event::GraceOver => match self {
                Self::Stopping => Ok((self, &[Effect::Kill])),
                // A clock that was started for an earlier run.
                _ => Ok((self, &[])),
            },
            Event::Signal => match self {
                Self::Running | Self::Paused | Self::Stopping => Ok((self, &[Effect::Signal])),
                _ => Err(Refusal::WrongState),
            },
            Event::Ended { restart } => self.ended(restart),
            Event::BackoffOver => match self {
                Self::Waiting => Ok((Self::Starting, &[Effect::Launch])),
                _ => Ok((self, &[])),
            },
            Event::Remove => match self {
                Self::Created | Self::Exited => Ok((Self::Removed, &[Effect::Discard])),
                _ => Err(Refusal::WrongState),
            },
        }
    }

    fn start(self) -> Result<(Self, &'static [Effect]), Refusal> {
        match self {
            Self::Created | Self::Exited | Self::Waiting => Ok((Self::Starting, &[Effect::Launch])),
            Self::Starting | Self::Running => Ok((self, &[])),
            Self::Aborting | Self::Paused | Self::Stopping | Self::Removed => {
                Err(Refusal::WrongState)
            }
        }
    }

    fn stop(self) -> Result<(Self, &'static [Effect]), Refusal> {
        match self {
            Self::Created | Self::Exited | Self::Aborting => Ok((self, &[])),
            // What has been made so far is killed; a program that was
            // executed all the same is asked to end.
            Self::Starting => Ok((Self::Aborting, &[Effect::Kill])),
            Self::Running => Ok((Self::Stopping, &[Effect::AskToEnd, Effect::ArmGrace])),
            Self::Paused => Ok((
                Self::Stopping,
                &[Effect::AskToEnd, Effect::Thaw, Effect::ArmGrace],
            )),
            Self::Stopping => Ok((self, &[Effect::ArmGrace])),
            Self::Waiting => Ok((Self::Exited, &[Effect::GiveUpRestart])),
            Self::Removed => Err(Refusal::WrongState),
        }
    }

    fn destroy(self) -> Result<(Self, &'static [Effect]), Refusal> {
        match self {
            Self::Created | Self::Exited => Ok((self, &[])),
            Self::Starting | Self::Aborting => Ok((Self::Aborting, &[Effect::Kill])),
            Self::Running | Self::Stopping => Ok((Self::Stopping, &[Effect::Kill])),
            Self::Paused => Ok((Self::Stopping, &[Effect::Kill, Effect::Thaw])),
            Self::Waiting => Ok((Self::Exited, &[Effect::GiveUpRestart])),
            Self::Removed => Err(Refusal::WrongState),
        }
    }

    fn ended(self, restart: bool) -> Result<(Self, &'static [Effect]), Refusal> {
        match self {
            Self::Running | Self::Paused if restart => {
                Ok((Self::Waiting, &[Effect::Finish, Effect::ArmBackoff]))
            }
            Self::Running | Self::Paused | Self::Stopping => Ok((Self::Exited, &[Effect::Finish])),
            Self::Created
            | Self::Starting
            | Self::Aborting
            | Self::Waiting
            | Self::Exited
            | Self::Removed => Err(Refusal::Impossible),
        }
    }

    /// Whether the container keeps keeper and supervisor alive.
    pub(super) fn is_alive(self) -> bool {
        match self {
            Self::Starting
            | Self::Aborting
            | Self::Running
            | Self::Paused
            | Self::Stopping
            | Self::Waiting => true,
            Self::Created | Self::Exited | Self::Removed => false,
        }
    }

    /// Whether its process 1 exists.
    pub(super) fn has_process(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Stopping)
    }

    /// Docker's word for it.
    pub(super) fn public(self) -> RunState {
        match self {
            Self::Created | Self::Starting | Self::Aborting => RunState::Created,
            Self::Running | Self::Stopping => RunState::Running,
            Self::Paused => RunState::Paused,
            Self::Waiting => RunState::Restarting,
            Self::Exited | Self::Removed => RunState::Exited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 9] = [
        State::Created,
        State::Starting,
        State::Aborting,
        State::Running,
        State::Paused,
        State::Stopping,
        State::Waiting,
        State::Exited,
        State::Removed,
    ];
    const EVENTS: [Event; 13] = [
        Event::Start,
        Event::Launched,
        Event::LaunchFailed,
        Event::Pause,
        Event::Unpause,
        Event::Stop,
        Event::GraceOver,
        Event::Signal,
        Event::Destroy,
        Event::Ended { restart: false },
        Event::Ended { restart: true },
        Event::BackoffOver,
        Event::Remove,
    ];

    /// The whole table, one row a state: what each event leads to.
    #[test]
    fn every_pair_of_state_and_event() {
        let cell = |state: State, event: Event| match state.next(event) {
            Ok((next, effects)) => {
                let effects: Vec<String> = effects.iter().map(|e| format!("{e:?}")).collect();
                format!("{next:?}[{}]", effects.join(" "))
            }
            Err(Refusal::WrongState) => "refused".to_owned(),
            Err(Refusal::Impossible) => "impossible".to_owned(),
        };
        let mut table = String::new();
        for state in STATES {
            for event in EVENTS {
                table.push_str(&format!("{state:?} + {event:?} = {}\n", cell(state, event)));
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_process_is_finished_exactly_when_it_ends() {
        for state in STATES {
            for event in EVENTS {
                let Ok((next, effects)) = state.next(event) else {
                    continue;
                };
                let ends = state.has_process() && !next.has_process();
                assert_eq!(
                    effects.contains(&Effect::Finish),
                    ends,
                    "{state:?} {event:?}"
                );
                let begins = !state.has_process() && next.has_process();
                assert_eq!(
                    effects.contains(&Effect::Announce),
                    begins,
                    "{state:?} {event:?}"
                );
            }
        }
    }

    #[test]
    fn a_stop_leads_to_the_end_from_everywhere_whatever_the_policy_says() {
        for state in STATES.into_iter().filter(|state| *state != State::Removed) {
            let (stopped, _) = state.next(Event::Stop).unwrap();
            let launched = stopped
                .next(Event::Launched)
                .map_or(stopped, |(next, _)| next);
            let ended = launched.next(Event::Ended { restart: true });
            let last = ended.map_or(launched, |(next, _)| next);
            assert!(
                !last.is_alive(),
                "{state:?} -> {stopped:?} -> {launched:?} -> {last:?}"
            );
        }
    }
}
