//! The proof that the core needs no standard library, and neither does the example of a driver for
//! devices: a static library with an allocator and a panic handler of its own. If one of its
//! dependencies linked `std`, there would be two panic handlers, and the compiler would report an
//! error (try it: `extern crate std;`).
#![no_std]

extern crate alloc;

#[path = "../../../examples/parts/embedded_driver.rs"]
#[allow(dead_code)]
mod embedded_driver;
#[path = "../../../examples/parts/frame.rs"]
mod frame;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::convert::Infallible;
use core::sync::atomic::{AtomicUsize, Ordering};
use embedded_driver::{Area, Clock, Driver, Flash, Machine, Radio};
use raft_proto::{ClusterId, Config, Entries, Event, Input, NodeId, Raft, Recovered, Start, Time};

/// Allocates from a fixed arena, and never frees.
struct Arena;

const SIZE: usize = 1 << 20;

#[repr(align(64))]
struct Memory(#[allow(dead_code)] [u8; SIZE]);

static mut MEMORY: Memory = Memory([0; SIZE]);
static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call takes an aligned range of MEMORY that no other call gets. A request that does
// not fit is answered with null, as the trait demands.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let wanted = layout.size() + layout.align();
        let start = USED.fetch_add(wanted, Ordering::Relaxed);
        if layout.align() > 64 || start + wanted > SIZE {
            return core::ptr::null_mut();
        }
        let aligned = start.next_multiple_of(layout.align());
        // SAFETY: aligned + size is at most start + wanted, within MEMORY.
        unsafe { (&raw mut MEMORY).cast::<u8>().add(aligned) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Starts a node and gives it its first event, so that the linker needs the core. Returns the
/// number of actions.
#[unsafe(no_mangle)]
pub extern "C" fn first_step() -> usize {
    let start = Start::voters([NodeId(1)]);
    let config = Config::new(ClusterId(1), NodeId(1), start, 42);
    let event = Event {
        at: Time::ZERO,
        input: Input::Tick,
    };
    match Raft::new(config, Recovered::default()) {
        Ok(mut raft) => raft.step(event).len(),
        Err(_) => 0,
    }
}

/// A device that has nothing, so that the linker needs the driver.
#[derive(Default)]
struct Nothing;

impl Clock for Nothing {
    fn now(&mut self) -> Time {
        Time::ZERO
    }
}

impl Radio for Nothing {
    fn send(&mut self, _: NodeId, _: &[u8]) {}

    fn receive(&mut self) -> Option<Vec<u8>> {
        None
    }
}

impl Flash for Nothing {
    type Error = Infallible;
    const CAPACITY: usize = 4096;

    fn read(&mut self, _: Area) -> Result<Vec<u8>, Infallible> {
        Ok(Vec::new())
    }

    fn erase(&mut self, _: Area) -> Result<(), Infallible> {
        Ok(())
    }

    fn append(&mut self, _: Area, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Machine for Nothing {
    fn apply(&mut self, _: &Entries) {}

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: &[u8]) {}
}

/// Starts the example driver and lets it work once. Returns whether it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn first_poll() -> bool {
    let start = Start::voters([NodeId(1)]);
    let config = Config::new(ClusterId(1), NodeId(1), start, 42);
    let driver = Driver::<_, _, _, Nothing>::start(config, Nothing, Nothing, Nothing);
    driver.and_then(|mut driver| driver.poll()).is_ok()
}
