using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Shinano.Cpu.Tests;

public sealed unsafe class RegisterTableTests
{
    [Fact]
    public void Covers_every_byte_but_the_padding_before_the_xsave_area_once()
    {
        bool[] covered = new bool[Unsafe.SizeOf<CpuState>()];
        foreach (RegisterDescriptor register in RegisterTable.All)
        {
            for (int i = 0; i < register.Size; i++)
            {
                Assert.False(covered[register.Offset + i], $"{register.Name} overlaps");
                covered[register.Offset + i] = true;
            }
        }

        int xsave = (int)Marshal.OffsetOf<CpuState>(nameof(CpuState.Xsave));
        Assert.Equal(0, xsave % 64);
        int[] holes = [.. Enumerable.Range(0, covered.Length).Where(i => !covered[i])];
        Assert.Equal(32, holes.Length);
        Assert.All(holes, hole => Assert.InRange(hole, xsave - 32, xsave - 1));
    }

    [Fact]
    public void Save_and_restore_carry_every_register()
    {
        CpuState source = default;
        CpuState target = default;
        byte value = 1;
        foreach (RegisterDescriptor register in RegisterTable.All)
        {
            RegisterTable.Bytes(&source, register).Fill(value++);
        }

        byte[] saved = new byte[RegisterTable.SavedSize];
        RegisterTable.Save(&source, saved);
        Assert.NotEmpty(RegisterTable.Compare((nint)(&source), (nint)(&target)));
        RegisterTable.Restore(&target, saved);
        Assert.Empty(RegisterTable.Compare((nint)(&source), (nint)(&target)));
    }
}
