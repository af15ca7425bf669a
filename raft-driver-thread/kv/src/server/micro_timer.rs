//! A timer for waits below a millisecond. The timers of tokio count in milliseconds.

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
    pub(crate) struct MicroTimer {
        /// A timerfd. Like a pipe, it becomes readable when the timer expires.
        timer: Receiver,
    }

    impl MicroTimer {
        pub(crate) fn new() -> io::Result<MicroTimer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            let timer = Receiver::from_owned_fd_unchecked(timer)?;
            Ok(MicroTimer { timer })
        }

        /// Only one task may sleep at a time. If the sleep is dropped without
        /// [`cancel`](MicroTimer::cancel), the timer wakes the runtime once for nothing.
        pub(crate) async fn sleep(&self, time: Duration) -> io::Result<()> {
            self.set(Timespec {
                tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                // Zero would disarm the timer.
                tv_nsec: i64::from(time.subsec_nanos().max(1)),
            })?;
            loop {
                self.timer.readable().await?;
                match self.timer.try_read(&mut [0; 8]) {
                    // The readiness was that of an earlier sleep, which was dropped.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read.map(|_| ()),
                }
            }
        }

        /// Disarms the timer after its sleep was dropped.
        pub(crate) fn cancel(&self) {
            // If this fails, the timer only wakes the runtime once for nothing.
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

    /// See the [module](super): on this system it is no more precise than tokio's.
    pub(crate) struct MicroTimer;

    impl MicroTimer {
        pub(crate) fn new() -> io::Result<MicroTimer> {
            Ok(MicroTimer)
        }

        pub(crate) async fn sleep(&self, time: Duration) -> io::Result<()> {
            tokio::time::sleep(time).await;
            Ok(())
        }

        pub(crate) fn cancel(&self) {}
    }
}

pub(crate) use precise::MicroTimer;
