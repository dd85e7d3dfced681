using System.Buffers.Binary;

namespace Shinano.Cpu.HostCode;

/// <summary>
/// The x87 instructions that move control state and whole environments, over the legacy region of the state. They are written out here because the
/// host's own pointers would get into the stored images, and because some of them may unmask a pending exception.
/// </summary>
/// <remarks>Layouts: SDM 1 figures 8-9 to 8-12; in 64-bit mode the 32-bit protected-mode one (28 bytes) or, with an operand-size prefix, the 16-bit one (14).</remarks>
internal static unsafe class X87Environment
{
    private const int ReservedControl = 0x40;
    private const int ExceptionSummary = 0x8080;
    private const int Flags = 0x3F;
    private const int Top = 0x3800;

    /// <summary>Whether a waiting instruction must raise #MF.</summary>
    public static bool IsPending(CpuState* state) => (Word(state, 2) & ~Word(state, 0) & Flags) != 0;

    /// <summary>An MMX register's 8 bytes: physical register, whatever the top of the stack is.</summary>
    public static byte* MmxRegister(CpuState* state, int number)
    {
        int top = (Word(state, 2) & Top) >> 11;
        return Legacy(state) + CpuState.StOffset + (((number - top) & 7) * 16);
    }

    /// <summary>What an MMX instruction does to x87 state: top of stack 0, every register valid. SDM 1 §9.5.</summary>
    public static void EnterMmx(CpuState* state)
    {
        Rotate(state, 0);
        Word(state, 2) &= 0xFFFF & ~Top;
        Legacy(state)[4] = 0xFF;
        InUse(state);
    }

    /// <summary>FNINIT: SDM 2A. The registers keep their bits and become empty.</summary>
    public static HostStatus Initialize(CpuState* state, byte* memory, ulong offset)
    {
        Initialize(state);
        return HostStatus.Done;
    }

    /// <summary>FNCLEX: the exception flags, SF, ES and B.</summary>
    public static HostStatus ClearExceptions(CpuState* state, byte* memory, ulong offset)
    {
        Word(state, 2) &= 0x7F00;
        return InUse(state);
    }

    /// <summary>FNENI, FNDISI, FNSETPM: nothing since the 80387.</summary>
    public static HostStatus Nothing(CpuState* state, byte* memory, ulong offset) => HostStatus.Done;

    /// <summary>WAIT.</summary>
    public static HostStatus Wait(CpuState* state, byte* memory, ulong offset) => IsPending(state) ? HostStatus.X87Pending : HostStatus.Done;

    /// <summary>FNSTCW m16.</summary>
    public static HostStatus StoreControl(CpuState* state, byte* memory, ulong offset)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(new Span<byte>(memory, 2), Word(state, 0));
        return HostStatus.Done;
    }

    /// <summary>FNSTSW m16.</summary>
    public static HostStatus StoreStatus(CpuState* state, byte* memory, ulong offset)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(new Span<byte>(memory, 2), Word(state, 2));
        return HostStatus.Done;
    }

    /// <summary>FNSTSW AX.</summary>
    public static HostStatus StoreStatusToAx(CpuState* state, byte* memory, ulong offset)
    {
        state->Gpr[0] = (state->Gpr[0] & ~0xFFFFUL) | Word(state, 2);
        return HostStatus.Done;
    }

    /// <summary>FLDCW m16.</summary>
    public static HostStatus LoadControl(CpuState* state, byte* memory, ulong offset)
    {
        if (IsPending(state))
        {
            return HostStatus.X87Pending;
        }

        SetControl(state, BinaryPrimitives.ReadUInt16LittleEndian(new Span<byte>(memory, 2)));
        Summarize(state);
        return InUse(state);
    }

    /// <summary>FNSTENV m28.</summary>
    public static HostStatus StoreEnvironment32(CpuState* state, byte* memory, ulong offset) => StoreEnvironment(state, memory, true);

    /// <summary>FNSTENV m14.</summary>
    public static HostStatus StoreEnvironment16(CpuState* state, byte* memory, ulong offset) => StoreEnvironment(state, memory, false);

    /// <summary>FLDENV m28.</summary>
    public static HostStatus LoadEnvironment32(CpuState* state, byte* memory, ulong offset) => LoadEnvironment(state, memory, true);

    /// <summary>FLDENV m14.</summary>
    public static HostStatus LoadEnvironment16(CpuState* state, byte* memory, ulong offset) => LoadEnvironment(state, memory, false);

    /// <summary>FNSAVE m108.</summary>
    public static HostStatus Save32(CpuState* state, byte* memory, ulong offset) => Save(state, memory, true);

    /// <summary>FNSAVE m94.</summary>
    public static HostStatus Save16(CpuState* state, byte* memory, ulong offset) => Save(state, memory, false);

    /// <summary>FRSTOR m108.</summary>
    public static HostStatus Restore32(CpuState* state, byte* memory, ulong offset) => Restore(state, memory, true);

    /// <summary>FRSTOR m94.</summary>
    public static HostStatus Restore16(CpuState* state, byte* memory, ulong offset) => Restore(state, memory, false);

    private static HostStatus StoreEnvironment(CpuState* state, byte* memory, bool wide)
    {
        Store(state, memory, wide);

        // SDM 2A FSTENV: masks all exceptions afterwards.
        Word(state, 0) |= Flags;
        Summarize(state);
        return InUse(state);
    }

    private static HostStatus LoadEnvironment(CpuState* state, byte* memory, bool wide)
    {
        if (IsPending(state))
        {
            return HostStatus.X87Pending;
        }

        Load(state, memory, wide);
        return InUse(state);
    }

    private static HostStatus Save(CpuState* state, byte* memory, bool wide)
    {
        int at = Store(state, memory, wide);
        for (int i = 0; i < 8; i++)
        {
            // SAFETY: 8 registers of 16 bytes lie in the state; the operand is at + 80 bytes long.
            Buffer.MemoryCopy(Legacy(state) + CpuState.StOffset + (i * 16), memory + at + (i * 10), 10, 10);
        }

        Initialize(state);
        return HostStatus.Done;
    }

    private static HostStatus Restore(CpuState* state, byte* memory, bool wide)
    {
        if (IsPending(state))
        {
            return HostStatus.X87Pending;
        }

        int at = Load(state, memory, wide);
        for (int i = 0; i < 8; i++)
        {
            // SAFETY: as in Save.
            byte* register = Legacy(state) + CpuState.StOffset + (i * 16);
            Buffer.MemoryCopy(memory + at + (i * 10), register, 10, 10);
            new Span<byte>(register + 10, 6).Clear();
        }

        return InUse(state);
    }

    private static int Store(CpuState* state, byte* memory, bool wide)
    {
        ushort control = Word(state, 0);
        ushort status = Word(state, 2);
        ushort tags = FullTags(state);
        ulong instruction = *(ulong*)(Legacy(state) + 8);
        ulong data = *(ulong*)(Legacy(state) + 16);
        if (wide)
        {
            Span<byte> image = new(memory, 28);
            BinaryPrimitives.WriteUInt32LittleEndian(image, 0xFFFF0000u | control);
            BinaryPrimitives.WriteUInt32LittleEndian(image[4..], 0xFFFF0000u | status);
            BinaryPrimitives.WriteUInt32LittleEndian(image[8..], 0xFFFF0000u | tags);
            BinaryPrimitives.WriteUInt32LittleEndian(image[12..], (uint)instruction);
            BinaryPrimitives.WriteUInt32LittleEndian(image[16..], (uint)(Word(state, 6) & 0x7FF) << 16);
            BinaryPrimitives.WriteUInt32LittleEndian(image[20..], (uint)data);
            BinaryPrimitives.WriteUInt32LittleEndian(image[24..], 0xFFFF0000u);
            return 28;
        }

        Span<byte> narrow = new(memory, 14);
        BinaryPrimitives.WriteUInt16LittleEndian(narrow, control);
        BinaryPrimitives.WriteUInt16LittleEndian(narrow[2..], status);
        BinaryPrimitives.WriteUInt16LittleEndian(narrow[4..], tags);
        BinaryPrimitives.WriteUInt16LittleEndian(narrow[6..], (ushort)instruction);
        BinaryPrimitives.WriteUInt16LittleEndian(narrow[8..], 0);
        BinaryPrimitives.WriteUInt16LittleEndian(narrow[10..], (ushort)data);
        BinaryPrimitives.WriteUInt16LittleEndian(narrow[12..], 0);
        return 14;
    }

    private static int Load(CpuState* state, byte* memory, bool wide)
    {
        int step = wide ? 4 : 2;
        ReadOnlySpan<byte> image = new(memory, 7 * step);
        SetControl(state, BinaryPrimitives.ReadUInt16LittleEndian(image));
        ushort status = BinaryPrimitives.ReadUInt16LittleEndian(image[step..]);
        Rotate(state, (status & Top) >> 11);
        Word(state, 2) = status;
        Summarize(state);
        ushort tags = BinaryPrimitives.ReadUInt16LittleEndian(image[(2 * step)..]);
        int abridged = 0;
        for (int i = 0; i < 8; i++)
        {
            abridged |= ((tags >> (2 * i)) & 3) != 3 ? 1 << i : 0;
        }

        Legacy(state)[4] = (byte)abridged;
        ulong* pointers = (ulong*)(Legacy(state) + 8);
        if (wide)
        {
            pointers[0] = BinaryPrimitives.ReadUInt32LittleEndian(image[12..]);
            Word(state, 6) = (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(image[18..]) & 0x7FF);
            pointers[1] = BinaryPrimitives.ReadUInt32LittleEndian(image[20..]);
            return 28;
        }

        pointers[0] = BinaryPrimitives.ReadUInt16LittleEndian(image[6..]);
        Word(state, 6) = 0;
        pointers[1] = BinaryPrimitives.ReadUInt16LittleEndian(image[10..]);
        return 14;
    }

    private static void Initialize(CpuState* state)
    {
        Rotate(state, 0);
        Word(state, 0) = 0x37F;
        Word(state, 2) = 0;
        Legacy(state)[4] = 0;
        Word(state, 6) = 0;
        new Span<byte>(Legacy(state) + 8, 16).Clear();
        InUse(state);
    }

    // The state keeps registers in stack order: a new top moves what lies in each place.
    private static void Rotate(CpuState* state, int top)
    {
        int by = (top - ((Word(state, 2) & Top) >> 11)) & 7;
        Span<UInt128> registers = new(Legacy(state) + CpuState.StOffset, 8);
        Span<UInt128> old = stackalloc UInt128[8];
        registers.CopyTo(old);
        for (int i = 0; i < 8; i++)
        {
            registers[i] = old[(i + by) & 7];
        }
    }

    // Two bits per physical register: 0 valid, 1 zero, 2 special, 3 empty. SDM 1 §8.1.7; the state keeps one bit, as FXSAVE does (§10.5.1.1).
    private static ushort FullTags(CpuState* state)
    {
        int top = (Word(state, 2) & Top) >> 11;
        int tags = 0;
        for (int physical = 0; physical < 8; physical++)
        {
            int tag = 3;
            if ((Legacy(state)[4] & (1 << physical)) != 0)
            {
                byte* register = Legacy(state) + CpuState.StOffset + (((physical - top) & 7) * 16);
                ulong significand = *(ulong*)register;
                int exponent = *(ushort*)(register + 8) & 0x7FFF;
                tag = exponent == 0 && significand == 0 ? 1 : exponent is 0 or 0x7FFF || significand >> 63 == 0 ? 2 : 0;
            }

            tags |= tag << (2 * physical);
        }

        return (ushort)tags;
    }

    private static void SetControl(CpuState* state, ushort value) => Word(state, 0) = (ushort)((value & 0x1F7F) | ReservedControl);

    // ES and B follow the flags and the masks. SDM 1 §8.1.3.3.
    private static void Summarize(CpuState* state) =>
        Word(state, 2) = (ushort)((Word(state, 2) & ~ExceptionSummary) | (IsPending(state) ? ExceptionSummary : 0));

    private static HostStatus InUse(CpuState* state)
    {
        state->Xsave[CpuState.XstateBvOffset] |= 1;
        return HostStatus.Done;
    }

    // SAFETY: state points at a whole CpuState; every offset used lies in its first 160 XSAVE bytes.
    private static byte* Legacy(CpuState* state) => state->Xsave;

    private static ref ushort Word(CpuState* state, int offset) => ref *(ushort*)(state->Xsave + offset);
}
