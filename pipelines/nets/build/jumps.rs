//! The assembly of the jumps: one per C function of torch-sys, through a table that the program fills on the first call.
//!
//! A jump leaves every argument where it is and takes two registers that no calling convention uses for arguments. At
//! first each entry of the table is `mlsm_torch_enter`: it saves the arguments, calls Rust to load the library and to
//! exchange the table, and goes on to the function.

use std::fmt::Write as _;

/// A platform whose assembly is known.
#[derive(Clone, Copy)]
pub enum Target {
    X86_64,
    Aarch64,
}

impl Target {
    /// Returns the target of this system and processor; `None` where libtorch is linked in.
    pub fn of(os: &str, arch: &str) -> Option<Self> {
        match (os, arch) {
            ("linux", "x86_64") => Some(Self::X86_64),
            ("linux", "aarch64") => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// Returns the assembly of the executable: the jumps, the code behind their first call, their first table, and the
    /// addresses of the functions that libtch.a calls back.
    pub fn executable(self, functions: &[String], callbacks: &[String]) -> String {
        let enter = match self {
            Self::X86_64 => ENTER_X86_64,
            Self::Aarch64 => ENTER_AARCH64,
        };
        let mut text = format!(".text\n{enter}");
        self.jumps(&mut text, functions, "mlsm_torch_table");
        let first = entries(&vec!["mlsm_torch_enter".to_owned(); functions.len()]);
        let _ = write!(
            text,
            ".section .data.rel.ro,\"aw\"\n.balign 8\nmlsm_torch_first:\n{first}\
             .globl mlsm_torch_callbacks\n.hidden mlsm_torch_callbacks\nmlsm_torch_callbacks:\n{}\
             .data\n.balign 8\n.globl mlsm_torch_table\n.hidden mlsm_torch_table\nmlsm_torch_table:\n \
             .quad mlsm_torch_first\n{END}",
            entries(callbacks)
        );
        text
    }

    /// Returns the assembly of the shared library: the addresses of its functions in the order of the jumps, as `table`,
    /// and the jumps back to the executable through `table_callbacks`.
    pub fn library(self, functions: &[String], callbacks: &[String], table: &str) -> String {
        let mut text = String::from(".text\n");
        self.jumps(&mut text, callbacks, "mlsm_torch_callbacks");
        let _ = write!(
            text,
            ".section .data.rel.ro,\"aw\"\n.balign 8\n.globl {table}\n{table}:\n{}\
             .data\n.balign 8\n.globl {table}_callbacks\n{table}_callbacks:\nmlsm_torch_callbacks:\n .quad 0\n{END}",
            entries(functions)
        );
        text
    }

    /// Appends one function per name that jumps to the entry of its index in the table that `pointer` points to.
    fn jumps(self, text: &mut String, names: &[String], pointer: &str) {
        for (index, name) in names.iter().enumerate() {
            let _ = writeln!(text, ".balign 8\n.globl {name}\n.hidden {name}\n.type {name}, %function\n{name}:");
            let _ = match self {
                Self::X86_64 => {
                    writeln!(text, " movl ${index}, %r11d\n movq {pointer}(%rip), %r10\n jmpq *{}(%r10)", 8 * index)
                }
                Self::Aarch64 => writeln!(
                    text,
                    " adrp x16, {pointer}\n ldr x16, [x16, #:lo12:{pointer}]\n mov w17, #{index}\n \
                     ldr x16, [x16, x17, lsl #3]\n br x16"
                ),
            };
            let _ = writeln!(text, ".size {name}, .-{name}");
        }
    }
}

fn entries(names: &[String]) -> String {
    names.iter().fold(String::new(), |text, name| text + " .quad " + name + "\n")
}

/// Names the table after the functions in it, so that a library of another torch-sys is not mistaken for this one.
pub fn table_name(functions: &[String], callbacks: &[String]) -> String {
    let bytes = functions.iter().chain(callbacks).flat_map(|name| name.bytes().chain([0]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("mlsm_torch_functions_{hash:016x}")
}

/// The stack needs no right to execute.
const END: &str = ".section .note.GNU-stack,\"\",%progbits\n";

/// System V: integers in rdi … r9 and rax, floats in xmm0 … xmm7; the index of the function in r11. The stack is 16-byte
/// aligned after the return address, eight pushes and 136 bytes.
const ENTER_X86_64: &str = "\
.type mlsm_torch_enter, %function
mlsm_torch_enter:
 pushq %rdi
 pushq %rsi
 pushq %rdx
 pushq %rcx
 pushq %r8
 pushq %r9
 pushq %rax
 pushq %r11
 subq $136, %rsp
 movups %xmm0, (%rsp)
 movups %xmm1, 16(%rsp)
 movups %xmm2, 32(%rsp)
 movups %xmm3, 48(%rsp)
 movups %xmm4, 64(%rsp)
 movups %xmm5, 80(%rsp)
 movups %xmm6, 96(%rsp)
 movups %xmm7, 112(%rsp)
 call mlsm_torch_demanded
 movups (%rsp), %xmm0
 movups 16(%rsp), %xmm1
 movups 32(%rsp), %xmm2
 movups 48(%rsp), %xmm3
 movups 64(%rsp), %xmm4
 movups 80(%rsp), %xmm5
 movups 96(%rsp), %xmm6
 movups 112(%rsp), %xmm7
 addq $136, %rsp
 popq %r11
 popq %rax
 popq %r9
 popq %r8
 popq %rcx
 popq %rdx
 popq %rsi
 popq %rdi
 movq mlsm_torch_table(%rip), %r10
 jmpq *(%r10,%r11,8)
.size mlsm_torch_enter, .-mlsm_torch_enter
";

/// AAPCS64: integers in x0 … x7, the place of a result in x8, floats in q0 … q7, the return address in x30; the index of
/// the function in x17.
const ENTER_AARCH64: &str = "\
.type mlsm_torch_enter, %function
mlsm_torch_enter:
 stp x29, x30, [sp, #-224]!
 mov x29, sp
 stp x0, x1, [sp, #16]
 stp x2, x3, [sp, #32]
 stp x4, x5, [sp, #48]
 stp x6, x7, [sp, #64]
 stp x8, x17, [sp, #80]
 stp q0, q1, [sp, #96]
 stp q2, q3, [sp, #128]
 stp q4, q5, [sp, #160]
 stp q6, q7, [sp, #192]
 bl mlsm_torch_demanded
 ldp x0, x1, [sp, #16]
 ldp x2, x3, [sp, #32]
 ldp x4, x5, [sp, #48]
 ldp x6, x7, [sp, #64]
 ldp x8, x17, [sp, #80]
 ldp q0, q1, [sp, #96]
 ldp q2, q3, [sp, #128]
 ldp q4, q5, [sp, #160]
 ldp q6, q7, [sp, #192]
 ldp x29, x30, [sp], #224
 adrp x16, mlsm_torch_table
 ldr x16, [x16, #:lo12:mlsm_torch_table]
 ldr x16, [x16, x17, lsl #3]
 br x16
.size mlsm_torch_enter, .-mlsm_torch_enter
";
