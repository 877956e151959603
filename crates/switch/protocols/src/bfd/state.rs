//! What each side of a session says of itself, by the numbers of packets.

/// The state of one side of a session. The numbers are those of packets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum State {
    /// An operator holds the session down.
    AdminDown = 0,
    /// The neighbour is not heard.
    #[default]
    Down = 1,
    /// The neighbour is heard, but does not say that it hears.
    Init = 2,
    /// Both hear each other.
    Up = 3,
}

impl State {
    /// Of the lower two bits.
    pub(super) fn from_bits(bits: u8) -> State {
        match bits & 3 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        }
    }
}

/// Why a session went down last, by the number of packets (RFC 5880, section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Diagnostic(pub u8);

#[allow(missing_docs)]
impl Diagnostic {
    pub const NONE: Diagnostic = Diagnostic(0);
    pub const EXPIRED: Diagnostic = Diagnostic(1);
    pub const ECHO_FAILED: Diagnostic = Diagnostic(2);
    pub const NEIGHBOR_DOWN: Diagnostic = Diagnostic(3);
    pub const FORWARDING_RESET: Diagnostic = Diagnostic(4);
    pub const PATH_DOWN: Diagnostic = Diagnostic(5);
    pub const CONCATENATED_PATH_DOWN: Diagnostic = Diagnostic(6);
    pub const ADMIN_DOWN: Diagnostic = Diagnostic(7);
    pub const REVERSE_PATH_DOWN: Diagnostic = Diagnostic(8);

    /// Whether something behind the sender is down, though the session is up.
    pub(super) fn is_of_path(self) -> bool {
        [Diagnostic::PATH_DOWN, Diagnostic::CONCATENATED_PATH_DOWN, Diagnostic::REVERSE_PATH_DOWN]
            .contains(&self)
    }
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            State::AdminDown => "admin_down",
            State::Down => "down",
            State::Init => "init",
            State::Up => "up",
        }
    }
}

impl Diagnostic {
    /// What it says.
    pub fn text(self) -> &'static str {
        match self {
            Diagnostic::NONE => "No Diagnostic",
            Diagnostic::EXPIRED => "Control Detection Time Expired",
            Diagnostic::ECHO_FAILED => "Echo Function Failed",
            Diagnostic::NEIGHBOR_DOWN => "Neighbor Signaled Session Down",
            Diagnostic::FORWARDING_RESET => "Forwarding Plane Reset",
            Diagnostic::PATH_DOWN => "Path Down",
            Diagnostic::CONCATENATED_PATH_DOWN => "Concatenated Path Down",
            Diagnostic::ADMIN_DOWN => "Administratively Down",
            Diagnostic::REVERSE_PATH_DOWN => "Reverse Concatenated Path Down",
            _ => "Invalid Diagnostic",
        }
    }
}
