using Shinano.Cpu;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Traps;

public sealed unsafe class PrivilegedInstructionTests : IDisposable
{
    private readonly TrapTestDomain _domain = new();

    private CpuState* State => _domain.Vcpu.State;

    public void Dispose() => _domain.Dispose();

    /// <summary>Raises the vector at the code and says whether it was emulated.</summary>
    private bool Emulates(ExceptionVector vector, params byte[] code)
    {
        bool kernel = _domain.Vcpu.InKernel;
        ulong at = kernel ? TrapTestDomain.KernelCode : TrapTestDomain.UserCode;
        _domain.WriteCode(kernel ? _domain.KernelCodeFrame : _domain.UserCodeFrame, code);
        State->Rip = at;
        _domain.Run((CpuState* _, ref CpuExit exit) =>
        {
            exit.Kind = CpuExitKind.Exception;
            exit.Vector = vector;
        });
        if (State->Rip == TrapTestDomain.HandlerOf((int)vector))
        {
            return false;
        }

        Assert.Equal(at + (ulong)code.Length, State->Rip);
        return true;
    }

    [Theory]
    [InlineData((byte)0xF4)] // hlt
    [InlineData((byte)0x0F, (byte)0x01, (byte)0xF8)] // swapgs
    [InlineData((byte)0x0F, (byte)0x00, (byte)0xD8)] // ltr ax
    [InlineData((byte)0x0F, (byte)0x33)] // rdpmc
    [InlineData((byte)0xFA)] // cli without I/O privilege
    [InlineData((byte)0xEC)] // in al, dx without I/O privilege
    [InlineData((byte)0x90)] // no privileged instruction at all
    public void What_xen_does_not_emulate_is_the_guests_fault(params byte[] code) =>
        Assert.False(Emulates(ExceptionVector.GeneralProtection, code));

    [Fact]
    public void Port_reads_give_ones_with_io_privilege()
    {
        _domain.Vcpu.Traps.IoPrivilege = 1;
        State->Gpr[0] = 0x1122334455667788;
        Assert.True(Emulates(ExceptionVector.GeneralProtection, 0x66, 0xED)); // in ax, dx
        Assert.Equal(0x112233445566FFFFUL, State->Gpr[0]);
    }

    [Fact]
    public void Port_writes_vanish_with_io_privilege()
    {
        _domain.Vcpu.Traps.IoPrivilege = 1;
        Assert.True(Emulates(ExceptionVector.GeneralProtection, 0xE6, 0x80)); // out 0x80, al
    }

    [Fact]
    public void Control_registers_are_readable_in_kernel_mode()
    {
        Assert.True(Emulates(ExceptionVector.GeneralProtection, 0x41, 0x0F, 0x20, 0xD8)); // mov r8, cr3
        Assert.Equal(_domain.Vcpu.KernelRoot, State->Gpr[8]);
    }

    [Fact]
    public void Control_registers_are_refused_in_user_mode()
    {
        _domain.Vcpu.SwitchMode(toKernel: false);
        Assert.False(Emulates(ExceptionVector.GeneralProtection, 0x0F, 0x20, 0xD8));
    }

    [Fact]
    public void Mov_to_cr3_asks_the_mmu()
    {
        Mfn? asked = null;
        _domain.Domain.LoadRoot = (_, mfn) =>
        {
            asked = mfn;
            return true;
        };
        State->Gpr[0] = 0x1234000;
        Assert.True(Emulates(ExceptionVector.GeneralProtection, 0x0F, 0x22, 0xD8));
        Assert.Equal(new Mfn(0x1234), asked);
    }

    [Fact]
    public void Cr0_changes_in_ts_only()
    {
        Assert.True(Emulates(ExceptionVector.GeneralProtection, 0x0F, 0x20, 0xC0)); // mov rax, cr0
        ulong cr0 = State->Gpr[0];
        State->Gpr[0] = cr0 | 8;
        using TrapTestDomain other = new();
        other.Vcpu.State->Gpr[0] = cr0 ^ (1UL << 31);
        other.WriteCode(other.KernelCodeFrame, 0x0F, 0x22, 0xC0);
        other.Run((CpuState* _, ref CpuExit exit) =>
        {
            exit.Kind = CpuExitKind.Exception;
            exit.Vector = ExceptionVector.GeneralProtection;
        });
        Assert.Equal(TrapTestDomain.HandlerOf(13), other.Vcpu.State->Rip);
    }

    [Fact]
    public void Rdmsr_knows_the_bases_and_refuses_the_unknown()
    {
        State->Gs.Base = 0xFFFF_8880_1234_5678;
        State->Gpr[1] = 0xC0000101;
        Assert.True(Emulates(ExceptionVector.GeneralProtection, 0x0F, 0x32));
        Assert.Equal((0x12345678UL, 0xFFFF8880UL), (State->Gpr[0], State->Gpr[2]));
    }

    [Fact]
    public void Rdmsr_of_an_unknown_index_faults()
    {
        State->Gpr[1] = 0x12345;
        Assert.False(Emulates(ExceptionVector.GeneralProtection, 0x0F, 0x32));
    }

    [Fact]
    public void Wrmsr_of_a_base_that_is_not_canonical_faults()
    {
        State->Gpr[1] = 0xC0000100;
        State->Gpr[2] = 0x8000;
        Assert.False(Emulates(ExceptionVector.GeneralProtection, 0x0F, 0x30));
    }

    [Fact]
    public void The_forced_emulation_prefix_shows_xen_to_user_and_kernel()
    {
        foreach (bool kernel in (bool[])[true, false])
        {
            using TrapTestDomain domain = new();
            domain.Vcpu.SwitchMode(kernel);
            ulong at = kernel ? TrapTestDomain.KernelCode : TrapTestDomain.UserCode;
            domain.WriteCode(kernel ? domain.KernelCodeFrame : domain.UserCodeFrame, 0x0F, 0x0B, 0x78, 0x65, 0x6E, 0x0F, 0xA2);
            domain.Vcpu.State->Rip = at;
            domain.Vcpu.State->Gpr[0] = 0x40000001;
            domain.Run((CpuState* _, ref CpuExit exit) =>
            {
                exit.Kind = CpuExitKind.Exception;
                exit.Vector = ExceptionVector.InvalidOpcode;
            });
            Assert.Equal(at + 7, domain.Vcpu.State->Rip);
            Assert.Equal(0x00040011UL, domain.Vcpu.State->Gpr[0]);
        }
    }

    [Fact]
    public void A_plain_ud2_is_the_guests_own() =>
        Assert.False(Emulates(ExceptionVector.InvalidOpcode, 0x0F, 0x0B, 0x90, 0x90, 0x90, 0x0F, 0xA2));
}
