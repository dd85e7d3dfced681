using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Shinano.Cpu;

/// <summary>
/// The one table of registers: get, set, save, restore, reset and compare all go through it, so that no field can be forgotten; a test checks that
/// it covers every byte of <see cref="CpuState"/> but the padding.
/// </summary>
public static unsafe class RegisterTable
{
    private static readonly string[] GeneralNames =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    private static readonly Dictionary<string, RegisterDescriptor> ByName;

    static RegisterTable()
    {
        All = [.. Build()];
        ByName = All.ToDictionary(r => r.Name, StringComparer.Ordinal);
    }

    /// <summary>Every register, in the order of the state.</summary>
    public static IReadOnlyList<RegisterDescriptor> All { get; }

    /// <summary>Bytes of a saved state: every register's bytes in table order.</summary>
    public static int SavedSize => All.Sum(r => r.Size);

    /// <summary>Finds a register.</summary>
    public static bool TryFind(string name, out RegisterDescriptor register) => ByName.TryGetValue(name, out register!);

    /// <summary>A register's bytes inside a state.</summary>
    public static Span<byte> Bytes(CpuState* state, RegisterDescriptor register) => new((byte*)state + register.Offset, register.Size);

    /// <summary>A register of up to 8 bytes, zero-extended.</summary>
    public static ulong Get(CpuState* state, RegisterDescriptor register)
    {
        Span<byte> wide = stackalloc byte[8];
        wide.Clear();
        Bytes(state, register)[..Math.Min(8, register.Size)].CopyTo(wide);
        return BinaryPrimitives.ReadUInt64LittleEndian(wide);
    }

    /// <summary>Sets a register of up to 8 bytes; higher bits of the value are dropped.</summary>
    public static void Set(CpuState* state, RegisterDescriptor register, ulong value)
    {
        Span<byte> wide = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(wide, value);
        wide[..Math.Min(8, register.Size)].CopyTo(Bytes(state, register));
    }

    /// <summary>Puts the state of a CPU after reset.</summary>
    public static void Reset(CpuState* state)
    {
        // SAFETY: state points at a whole CpuState.
        new Span<byte>(state, sizeof(CpuState)).Clear();
        foreach (RegisterDescriptor register in All)
        {
            if (register.Reset != 0)
            {
                Set(state, register, register.Reset);
            }
        }
    }

    /// <summary>Writes every register's bytes in table order.</summary>
    /// <param name="destination"><see cref="SavedSize"/> bytes.</param>
    public static void Save(CpuState* state, Span<byte> destination)
    {
        foreach (RegisterDescriptor register in All)
        {
            Bytes(state, register).CopyTo(destination);
            destination = destination[register.Size..];
        }
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    public static void Restore(CpuState* state, ReadOnlySpan<byte> source)
    {
        foreach (RegisterDescriptor register in All)
        {
            source[..register.Size].CopyTo(Bytes(state, register));
            source = source[register.Size..];
        }
    }

    /// <summary>The registers in which two states differ.</summary>
    public static IEnumerable<RegisterDescriptor> Compare(nint left, nint right) =>
        All.Where(r => !Bytes((CpuState*)left, r).SequenceEqual(Bytes((CpuState*)right, r)));

    private static List<RegisterDescriptor> Build()
    {
        List<RegisterDescriptor> table = [];
        int offset = 0;
        void Add(string name, int size, ulong reset = 0)
        {
            table.Add(new RegisterDescriptor(name, offset, size, reset));
            offset += size;
        }

        void At(string field) => offset = (int)Marshal.OffsetOf<CpuState>(field);

        foreach (string name in GeneralNames)
        {
            Add(name, 8, name == "rdx" ? 0x600UL : 0);
        }

        Add("rip", 8, 0xFFF0);
        Add("rflags", 8, 2);
        foreach ((string name, ulong selector, ulong start, ulong attributes) in new (string, ulong, ulong, ulong)[]
        {
            ("es", 0, 0, 0x93), ("cs", 0xF000, 0xFFFF0000, 0x9B), ("ss", 0, 0, 0x93), ("ds", 0, 0, 0x93), ("fs", 0, 0, 0x93),
            ("gs", 0, 0, 0x93), ("ldtr", 0, 0, 0x82), ("tr", 0, 0, 0x8B), ("gdtr", 0, 0, 0), ("idtr", 0, 0, 0),
        })
        {
            Add(name + ".base", 8, start);
            Add(name + ".limit", 4, 0xFFFF);
            Add(name + ".selector", 2, selector);
            Add(name + ".attributes", 2, attributes);
        }

        Add("cr0", 8, 0x60000010);
        Add("cr2", 8);
        Add("cr3", 8);
        Add("cr4", 8);
        Add("cr8", 8);
        Add("efer", 8);
        Add("xcr0", 8, 1);
        for (int i = 0; i < 8; i++)
        {
            Add("dr" + i, 8, i switch { 6 => 0xFFFF0FF0, 7 => 0x400, _ => 0 });
        }

        Add("kernel_gs_base", 8);
        Add("star", 8);
        Add("lstar", 8);
        Add("cstar", 8);
        Add("sfmask", 8);
        Add("sysenter_cs", 8);
        Add("sysenter_esp", 8);
        Add("sysenter_eip", 8);
        Add("pat", 8, 0x0007040600070406);
        Add("apic_base", 8, 0xFEE00900);
        Add("tsc_offset", 8);
        Add("tsc_aux", 8);
        Add("translation_context", 8);
        Add("cpl", 8);
        Add("interrupt_shadow", 8);
        At(nameof(CpuState.Xsave));
        Add("fcw", 2, 0x37F);
        Add("fsw", 2);
        Add("ftw", 2);
        Add("fop", 2);
        Add("fip", 8);
        Add("fdp", 8);
        Add("mxcsr", 4, 0x1F80);
        Add("mxcsr_mask", 4, 0xFFFF);
        for (int i = 0; i < 8; i++)
        {
            Add("st" + i, 16);
        }

        for (int i = 0; i < 16; i++)
        {
            Add("xmm" + i, 16);
        }

        Add("xsave_reserved", 96);
        Add("xstate_bv", 8);
        Add("xsave_header", 56);
        for (int i = 0; i < 16; i++)
        {
            Add($"ymm{i}_high", 16);
        }

        if (offset != Unsafe.SizeOf<CpuState>())
        {
            throw new InvalidOperationException("the register table does not cover the CPU state");
        }

        return table;
    }
}
