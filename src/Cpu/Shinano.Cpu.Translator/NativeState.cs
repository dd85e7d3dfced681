using System.Runtime.InteropServices;
using Shinano.Cpu.Interpreter;

namespace Shinano.Cpu.Translator;

/// <summary>
/// A vCPU as emitted code sees it, relative to the GS base: the interpreter's <see cref="Core"/> (registers, look-aside tables) and behind it what only
/// translated code needs. Offsets are in <see cref="NativeLayout"/>.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeState
{
    /// <summary>Entries of a context's jump cache; a power of two.</summary>
    public const int JumpEntries = 4096;

    /// <summary>Entries of a context's cache of code without groups; a power of two.</summary>
    public const int UngroupedEntries = 128;

    /// <summary>Page mappings that links between pages can depend on.</summary>
    public const int Mappings = 16384;

    /// <summary>Most instructions that one exit may count.</summary>
    public const int CountLimit = 128;

    public Core Core;

    /// <summary>The arithmetic flags between blocks: OF in bit 0; SF, ZF, AF, PF and CF in bits 8 to 15 as LAHF gives them.</summary>
    public ulong SavedFlags;

    /// <summary>Why translated code was left: a <see cref="NativeExit"/>.</summary>
    public ulong ExitReason;

    /// <summary>What the reason says of it.</summary>
    public ulong ExitArgument;

    /// <summary>The last return instruction executed: were its target not canonical, it would be what faults.</summary>
    public ulong ReturnRip;

    /// <summary>What <see cref="FillRequest.Jump"/> and <see cref="FillRequest.Link"/> found.</summary>
    public nint FoundCode;

    /// <summary>Scratch across the checks of one instruction.</summary>
    public ulong Temporary;

    /// <summary>The host's stack pointer at the entry.</summary>
    public ulong HostStack;

    /// <summary>Where the host stack of calls begins; the word there leads returns without a call to the jump cache.</summary>
    public ulong CallStackBase;

    /// <summary>A call below this stack pointer starts the stack of calls anew.</summary>
    public ulong CallStackLimit;
    public ulong HostMxcsr;

    /// <summary>Masks for PEXT: the index bits of an address, and its page.</summary>
    public ulong IndexMask;
    public ulong PageMask;

    /// <summary>A mask for PEXT: <see cref="FillRequest.SizeMask"/>.</summary>
    public ulong SizeMask;

    /// <summary>Masks for PEXT: low bits of an address that must be 0 for an alignment of 16 and of 32.</summary>
    public ulong Mask16;
    public ulong Mask32;

    // Addresses of the shared thunks (Thunks).
    public nint ExitThunk;
    public nint FillThunk;
    public nint LoadVectorThunk;

    /// <summary>Per context: what an access does that the stack's window does not have.</summary>
    public fixed ulong StackThunks[Core.Contexts];

    /// <summary>Per context: goes on at the address in RCX in code without groups.</summary>
    public fixed ulong UngroupThunks[Core.Contexts];

    /// <summary>The stack thunks' arguments, an address and a <see cref="FillRequest"/>, and what it found.</summary>
    public ulong StackAddress;
    public ulong StackRequest;
    public ulong StackIndex;
    public ulong StackOffset;

    /// <summary>Per context: where a return that does not match its call goes.</summary>
    public fixed ulong ReturnThunks[Core.Contexts];

    /// <summary>The one of the current context.</summary>
    public ulong CurrentReturnThunk;

    /// <summary>C# behind the fill thunk, its argument, and the stack pointer meanwhile.</summary>
    public nint FillFunction;
    public NativeState* Self;
    public ulong FillStack;

    /// <summary>Per context: the page that stack accesses hit last; <see cref="TlbEntry.NegatedTag"/> and <see cref="TlbEntry.Addend"/>.</summary>
    public fixed ulong StackWindow[Core.Contexts * 2];

    /// <summary>What the heads of a block's groups found: what to add to a linear address of their page.</summary>
    public fixed ulong GroupAddends[AccessGroups.MaxGroups];

    /// <summary>Non-zero: the vector registers and MXCSR are the guest's, loaded by the first block that uses them.</summary>
    public byte UsedVector;

    /// <summary>Non-zero: a block with VEX encodings ran.</summary>
    public byte UsedVex;
    private fixed byte _padding[6];

    /// <summary>0, 1, 2, ...: what counts instructions.</summary>
    public fixed ulong Numbers[CountLimit];

    /// <summary>Per context: RIP and the code for it.</summary>
    public fixed ulong JumpCache[Core.Contexts * 2 * JumpEntries];

    /// <summary>Per context: RIP and the code without groups for it.</summary>
    public fixed ulong UngroupedCache[Core.Contexts * 2 * UngroupedEntries];

    /// <summary>Non-zero: the page mapping of that number holds on this vCPU.</summary>
    public fixed byte ValidMappings[Mappings];
}
