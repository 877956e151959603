//! Writing programs for the kernel's machine, instruction by instruction.
//!
//! Names follow the kernel's (Documentation/bpf/standardization/instruction-set.rst). Registers are numbers: 0 has results, 1 to 5
//! the arguments of calls, which a call destroys, 6 to 9 stay, 10 points behind the stack's 512 bytes.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How wide an access to memory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// One byte.
    Byte,
    /// Two.
    Half,
    /// Four.
    Word,
    /// Eight.
    Double,
}

impl Size {
    fn code(self) -> u8 {
        match self {
            Size::Word => 0x00,
            Size::Half => 0x08,
            Size::Byte => 0x10,
            Size::Double => 0x18,
        }
    }
}

/// What is done with two values; the first one's register gets the result of 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Sum.
    Add = 0x00,
    /// Difference.
    Sub = 0x10,
    /// Product.
    Mul = 0x20,
    /// Bits of either.
    Or = 0x40,
    /// Bits of both.
    And = 0x50,
    /// To higher bits.
    ShiftLeft = 0x60,
    /// To lower bits.
    ShiftRight = 0x70,
    /// The second value.
    Move = 0xb0,
}

/// When a jump is taken, by the register first named and the other value, both without a sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Equal.
    Equal = 0x10,
    /// Greater.
    Greater = 0x20,
    /// Some bit is in both.
    AnyBit = 0x40,
    /// Not equal.
    NotEqual = 0x50,
    /// Less.
    Less = 0xa0,
    /// Not greater.
    AtMost = 0xb0,
}

const LOAD_IMMEDIATE: u8 = 0x18;
const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const STORE_IMMEDIATE: u8 = 0x62;
const WITH_REGISTER: u8 = 0x08;
const ALU: u8 = 0x07;
const JUMP: u8 = 0x05;
const ADD_ATOMICALLY: u8 = 0xdb;
const TO_BIG_ENDIAN: u8 = 0xdc;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// What the immediate value of a wide load is.
const MAP_FD: u8 = 1;
const MAP_VALUE: u8 = 2;

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Instruction {
    operation: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// A place in a program that jumps lead to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label(usize);

/// A program in the making.
#[derive(Debug, Default)]
pub struct Assembler {
    instructions: Vec<Instruction>,
    labels: usize,
    places: HashMap<Label, usize>,
    /// Instructions that jump, and where to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// A label that is placed later.
    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels)
    }

    /// Jumps to `label` lead here.
    pub fn place(&mut self, label: Label) -> &mut Assembler {
        self.places.insert(label, self.instructions.len());
        self
    }

    fn push(
        &mut self,
        operation: u8,
        destination: u8,
        source: u8,
        offset: i16,
        immediate: i32,
    ) -> &mut Assembler {
        // Both are fields of four bits, whose order is that of the bytes of the machine.
        let registers = if cfg!(target_endian = "little") {
            source << 4 | destination
        } else {
            destination << 4 | source
        };
        self.instructions.push(Instruction { operation, registers, offset, immediate });
        self
    }

    /// `register = register OPERATION value`, the value being extended with its sign.
    pub fn with(&mut self, operation: Operation, register: u8, value: i32) -> &mut Assembler {
        self.push(ALU | operation as u8, register, 0, 0, value)
    }

    /// `register = register OPERATION other`.
    pub fn with_register(&mut self, operation: Operation, register: u8, other: u8) -> &mut Assembler {
        self.push(ALU | operation as u8 | WITH_REGISTER, register, other, 0, 0)
    }

    /// `register = value`.
    pub fn set(&mut self, register: u8, value: i32) -> &mut Assembler {
        self.with(Operation::Move, register, value)
    }

    /// `register = other`.
    pub fn copy(&mut self, register: u8, other: u8) -> &mut Assembler {
        self.with_register(Operation::Move, register, other)
    }

    /// Makes the low half, as it was read from memory, a number where memory has the high byte first.
    pub fn half_from_big_endian(&mut self, register: u8) -> &mut Assembler {
        self.push(TO_BIG_ENDIAN, register, 0, 0, 16)
    }

    /// `register = *(pointer + offset)`.
    pub fn load(&mut self, size: Size, register: u8, pointer: u8, offset: i16) -> &mut Assembler {
        self.push(LOAD | size.code(), register, pointer, offset, 0)
    }

    /// `*(pointer + offset) = register`.
    pub fn store(&mut self, size: Size, pointer: u8, offset: i16, register: u8) -> &mut Assembler {
        self.push(STORE | size.code(), pointer, register, offset, 0)
    }

    /// `*(pointer + offset) = value`.
    pub fn store_value(&mut self, size: Size, pointer: u8, offset: i16, value: i32) -> &mut Assembler {
        self.push(STORE_IMMEDIATE | size.code(), pointer, 0, offset, value)
    }

    /// `*(pointer + offset) += register`, for numbers of eight bytes that others change at the same time.
    pub fn add_atomically(&mut self, pointer: u8, offset: i16, register: u8) -> &mut Assembler {
        self.push(ADD_ATOMICALLY, pointer, register, offset, 0)
    }

    /// `register` refers to the map.
    pub fn load_map(&mut self, register: u8, map: BorrowedFd<'_>) -> &mut Assembler {
        self.push(LOAD_IMMEDIATE, register, MAP_FD, 0, map.as_raw_fd()).push(0, 0, 0, 0, 0)
    }

    /// `register` points into the only value of the array.
    pub fn load_value(&mut self, register: u8, array: BorrowedFd<'_>, offset: i32) -> &mut Assembler {
        self.push(LOAD_IMMEDIATE, register, MAP_VALUE, 0, array.as_raw_fd()).push(0, 0, 0, 0, offset)
    }

    /// `if (register CONDITION value) goto label`.
    pub fn jump_if(
        &mut self,
        condition: Condition,
        register: u8,
        value: i32,
        label: Label,
    ) -> &mut Assembler {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP | condition as u8, register, 0, 0, value)
    }

    /// `if (register CONDITION other) goto label`.
    pub fn jump_if_register(
        &mut self,
        condition: Condition,
        register: u8,
        other: u8,
        label: Label,
    ) -> &mut Assembler {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP | condition as u8 | WITH_REGISTER, register, other, 0, 0)
    }

    /// `goto label`.
    pub fn jump(&mut self, label: Label) -> &mut Assembler {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP, 0, 0, 0, 0)
    }

    /// Calls a function of the kernel.
    pub fn call(&mut self, function: i32) -> &mut Assembler {
        self.push(CALL, 0, 0, 0, function)
    }

    /// Ends with the result in register 0.
    pub fn exit(&mut self) -> &mut Assembler {
        self.push(EXIT, 0, 0, 0, 0)
    }

    /// The program, where all labels are placed and near enough.
    pub(super) fn finish(mut self) -> Option<Vec<Instruction>> {
        for (at, label) in self.jumps {
            let distance = *self.places.get(&label)? as isize - at as isize - 1;
            self.instructions.get_mut(at)?.offset = i16::try_from(distance).ok()?;
        }
        Some(self.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_lead_behind_the_next_instruction() {
        let mut code = Assembler::new();
        let (begin, end) = (code.label(), code.label());
        code.place(begin).set(0, 1).jump_if(Condition::Equal, 0, 1, end).jump(begin).place(end).exit();
        let offsets: Vec<i16> = code.finish().unwrap().iter().map(|instruction| instruction.offset).collect();
        assert_eq!(offsets, [0, 1, -3, 0]);
    }

    #[test]
    fn a_program_whose_jump_leads_nowhere_is_none() {
        let mut code = Assembler::new();
        let nowhere = code.label();
        code.jump(nowhere).exit();
        assert_eq!(code.finish(), None);
    }
}
