//! A timer for less than a millisecond, in which tokio's count.

use std::io;
use std::time::Duration;

#[cfg(target_os = "linux")]
mod precise {
    use super::{Duration, io};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    /// See the [module](super).
    pub(crate) struct Alarm {
        /// Like a pipe, it can be read when its time has come.
        timer: Receiver,
    }

    impl Alarm {
        pub(crate) fn new() -> io::Result<Alarm> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            let timer = Receiver::from_owned_fd_unchecked(timer)?;
            Ok(Alarm { timer })
        }

        /// One at a time; given up, it only wakes somebody for nothing.
        pub(crate) async fn sleep(&self, time: Duration) -> io::Result<()> {
            self.set(Timespec {
                tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                // Zero would be never.
                tv_nsec: i64::from(time.subsec_nanos().max(1)),
            })?;
            loop {
                self.timer.readable().await?;
                match self.timer.try_read(&mut [0; 8]) {
                    // It was one that was given up.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read.map(|_| ()),
                }
            }
        }

        /// After one was given up: nobody is woken.
        pub(crate) fn forget(&self) {
            // If it cannot be, somebody is.
            let _ = self.set(Timespec::default());
        }

        fn set(&self, time: Timespec) -> io::Result<()> {
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: time,
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod precise {
    use super::{Duration, io};

    /// See the [module](super): here it is no better.
    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn new() -> io::Result<Alarm> {
            Ok(Alarm)
        }

        pub(crate) async fn sleep(&self, time: Duration) -> io::Result<()> {
            tokio::time::sleep(time).await;
            Ok(())
        }

        pub(crate) fn forget(&self) {}
    }
}

pub(crate) use precise::Alarm;
