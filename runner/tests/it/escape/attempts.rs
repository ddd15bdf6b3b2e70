//! The list: every attempt, and what is to become of it. How each is made is in the files beside this one.

use libc::{EACCES, EBADF, EFBIG, ENOMEM, ENOSYS, EPERM, EXDEV};

use super::field::Field;
use super::{files, kernel, memory, network, others};

/// An attempt: the error number that it met, if any.
pub(super) type Attempt = fn(&Field) -> Result<(), i32>;

/// One attempt and its ends.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) attempt: Attempt,
    pub(super) worker: Refusal,
    pub(super) compiler: Refusal,
    /// Whether root alone could do it, walls or not.
    needs_root: bool,
}

/// How an attempt is refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// EACCES and EXDEV are Landlock's, EPERM and ENOSYS the filter's, what else there is a limit's.
    Error(i32),
    /// By the filter, and with it whoever tries.
    Killed,
    /// It is not refused, and why that is right.
    Open(&'static str),
}

use Refusal::{Error, Killed, Open};

const fn row(name: &'static str, attempt: Attempt, worker: Refusal, compiler: Refusal) -> Row {
    Row { name, attempt, worker, compiler, needs_root: false }
}

const fn of_root(name: &'static str, attempt: Attempt, worker: Refusal, compiler: Refusal) -> Row {
    Row { name, attempt, worker, compiler, needs_root: true }
}

/// A compiler opens no file at all: the filter answers before Landlock does.
const ACCESS: Refusal = Error(EACCES);
const NO: Refusal = Error(EPERM);
const COMPILES: Refusal = Open("it makes code executable to see what it imports");

pub(super) const ROWS: &[Row] = &[
    // Files.
    row("read the token", files::read_the_token, ACCESS, NO),
    row("read another attempt's result", files::read_another, ACCESS, NO),
    row("list another attempt's outputs", files::list_another, ACCESS, NO),
    row("create a file among another attempt's outputs", files::create_in_another, ACCESS, NO),
    row("append to another attempt's result", files::append_to_another, ACCESS, NO),
    row("reach another attempt by .. from the own directory", files::climb, ACCESS, NO),
    row("reach the token by a link made in the own outputs", files::follow_own_link, ACCESS, NO),
    row("link another attempt's result into the own outputs", files::link_another, Error(EXDEV), NO),
    row("move another attempt's result into the own outputs", files::move_another, ACCESS, NO),
    row("remove another attempt's result", files::remove_another, ACCESS, NO),
    row("truncate the own input", files::truncate_input, ACCESS, NO),
    row("truncate it by its path", files::truncate_input_by_path, NO, NO),
    row("create a file beside the own input", files::create_beside_input, ACCESS, NO),
    row("remove the own input", files::remove_input, ACCESS, NO),
    row("link the own input into the own outputs", files::link_input, Error(EXDEV), NO),
    row("change the own input's mode", files::change_mode, NO, NO),
    row("change the own input's owner", files::change_owner, NO, NO),
    row("change the own input's times", files::change_times, NO, NO),
    row("change the own input's attributes", files::change_attributes, NO, NO),
    row("open the compiled module, or what else is open, for writing", files::reopen_for_writing, ACCESS, NO),
    row("read another process's environment", files::read_environment, ACCESS, NO),
    row("open another process's memory", files::open_memory, ACCESS, NO),
    row("use a descriptor that leads anywhere else", files::find_descriptor, Error(EBADF), Error(EBADF)),
    of_root("make a device in the own outputs", files::make_device, Killed, Killed),
    of_root("open a file by its handle", files::open_by_handle, Killed, Killed),
    // Network.
    row("open an IPv4 stream socket", network::inet, Killed, Killed),
    row("open an IPv6 datagram socket", network::inet6, Killed, Killed),
    row("open a unix socket", network::unix, Killed, Killed),
    row("open a netlink socket", network::netlink, Killed, Killed),
    row("make a pair of sockets", network::pair, NO, NO),
    row("pass a descriptor on", network::pass_descriptor, NO, NO),
    // Other processes.
    row("fork", others::fork, NO, NO),
    row("fork by clone3", others::fork_by_clone3, Error(ENOSYS), Error(ENOSYS)),
    row("start a program", others::start_program, Killed, Killed),
    row("start an open program", others::start_open_program, Killed, Killed),
    row("kill another process", others::kill, Killed, Killed),
    row("kill a thread of another process", others::kill_thread, NO, NO),
    row("queue a signal to another process", others::queue_signal, Killed, Killed),
    row("let a descriptor signal another process", others::own_descriptor, NO, NO),
    row("get hold of another process", others::hold, NO, NO),
    of_root("trace another process", others::trace, Killed, Killed),
    of_root("read another process's memory", others::read_memory, Killed, Killed),
    of_root("write another process's memory", others::write_memory, Killed, Killed),
    row("change another process's limits", others::limit, NO, NO),
    row("change another process's priority", others::slow_down, NO, NO),
    row("move another process to one processor", others::pin, NO, NO),
    row("outlive the zygote", others::outlive, NO, NO),
    row("leave the process group", others::leave_group, NO, NO),
    // The kernel's larger parts.
    row("set up an io_uring", kernel::io_uring, Killed, Killed),
    of_root("load a BPF map", kernel::bpf, Killed, Killed),
    of_root("open a performance counter", kernel::perf, Killed, Killed),
    of_root("handle page faults", kernel::userfaultfd, Killed, Killed),
    row("make a user namespace", kernel::user_namespace, Killed, Killed),
    of_root("enter a namespace", kernel::enter_namespace, Killed, Killed),
    of_root("mount a file system", kernel::mount, Killed, Killed),
    of_root("change the root", kernel::chroot, Killed, Killed),
    row("make what is readable executable", kernel::personality, Killed, Killed),
    row("make a file without a name", kernel::memfd, NO, NO),
    row("watch files", kernel::inotify, NO, NO),
    row("control a descriptor", kernel::ioctl, NO, NO),
    // Memory and what else runs out.
    row("map new code", memory::map_code, NO, COMPILES),
    row("map a file's code", memory::map_file_code, NO, NO),
    row("make memory executable", memory::make_executable, NO, COMPILES),
    row("map shared memory, which no limit counts", memory::share, NO, NO),
    row("map memory that grows, which no limit counts", memory::grow_down, NO, NO),
    row("map more memory than the limit", memory::map_much, Error(ENOMEM), Error(ENOMEM)),
    row("raise a limit", memory::raise_limit, NO, NO),
    row("make a file larger than the limit", memory::large_file, Error(EFBIG), NO),
];

impl Row {
    /// Whether this user could do it without walls.
    pub(super) fn can_succeed(&self) -> bool {
        !self.needs_root || rustix::process::geteuid().is_root()
    }
}
