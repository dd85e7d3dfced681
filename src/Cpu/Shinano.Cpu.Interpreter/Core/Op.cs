using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// One decoded instruction: what runs it, and its operands ready to use. Lives in native memory of its code page, or in a vCPU's private slots; shared by
/// vCPUs, so after publication only <see cref="Handler"/> (to <see cref="FlowHandlers.Stale"/>) and <see cref="Target"/> change, each in one store.
/// </summary>
/// <remarks>
/// Registers are byte offsets into <see cref="Core"/>; the parts of an address are slot numbers (8-byte words of <see cref="Core"/>), where
/// <see cref="Core.Zero"/> stands for an absent part. Addresses of code are relative to the linear page, since a frame can be mapped anywhere.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Op
{
    /// <summary>Runs the instruction and returns the next one to run.</summary>
    public delegate*<Core*, Op*, Op*> Handler;

    /// <summary>Displacement of the memory operand.</summary>
    public long Disp;

    /// <summary>Immediate, sign-extended; for branches the target relative to the linear page.</summary>
    public long Imm;
    public byte Base;
    public byte Index;
    public byte Segment;

    /// <summary>Shift of the index, 0 to 3.</summary>
    public byte Scale;

    /// <summary>Length in bytes.</summary>
    public byte Length;

    /// <summary>Bytes of the operand or of the memory access.</summary>
    public byte Size;

    /// <summary>First explicit register operand.</summary>
    public byte R0;

    /// <summary>Second explicit register operand.</summary>
    public byte R1;

    /// <summary>Third explicit register operand.</summary>
    public byte R2;
    public OpFlags Flags;

    /// <summary>Offset of the first byte in its page.</summary>
    public ushort Offset;

    /// <summary>Number of instructions before this one in its block, for counting.</summary>
    public ushort Position;
    public ushort Spare;

    /// <summary>For a direct jump inside the page: the decoded target, once known.</summary>
    public Op* Target;

    /// <summary>Offset, in the page, of the instruction after this one; may exceed the page for one that crosses.</summary>
    public readonly int NextOffset => Offset + Length;
}
