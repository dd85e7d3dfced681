using Iced.Intel;
using Shinano.Cpu;
using Shinano.Cpu.Interpreter;
using Shinano.Hypervisor.Traps;
using Shinano.XenAbi;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Hypervisor.Tests.Traps;

/// <summary>Small guests, assembled here, that go through the traps on the interpreter. Each ends by shutting its domain down.</summary>
public sealed unsafe class TrapGuestTests
{
    private const ulong Code = TrapTestDomain.KernelCode;

    /// <summary>Runs kernel code at its entry (and user code at its own) until the domain stops; the finish hypercall is set_timer_op.</summary>
    private static TrapTestDomain Run(Action<Assembler> kernel, Action<Assembler>? user = null, Action<TrapTestDomain>? prepare = null)
    {
        TrapTestDomain domain = new(cpu: memory =>
        {
            InterpreterEngine engine = new(memory, new CpuEngineSettings(GuestKind.Paravirtual, InterpreterEngine.Supported));
            return (engine.CreateVirtualCpu(), engine);
        });
        domain.Domain.Hypercalls.Add(HypercallNumber.SetTimerOp, (vcpu, in _) =>
        {
            vcpu.Domain.RequestShutdown(ShutdownReason.PowerOff);
            return 0;
        });
        InitialState.Apply(domain.Vcpu);
        domain.Vcpu.State->Rip = Code;
        domain.Vcpu.State->Gpr[4] = TrapTestDomain.KernelStackTop;
        domain.WriteCode(domain.KernelCodeFrame, Assemble(kernel, Code));
        if (user is not null)
        {
            domain.WriteCode(domain.UserCodeFrame, Assemble(user, TrapTestDomain.UserCode));
        }

        prepare?.Invoke(domain);
        using DomainRunner runner = new(domain.Domain, domain.Cpuid);
        runner.Unpause();
        runner.Join();
        return domain;
    }

    private static byte[] Assemble(Action<Assembler> write, ulong at)
    {
        Assembler assembler = new(64);
        write(assembler);
        using MemoryStream bytes = new();
        assembler.Assemble(new StreamCodeWriter(bytes), at);
        return bytes.ToArray();
    }

    private static void Finish(Assembler a)
    {
        a.mov(eax, (uint)HypercallNumber.SetTimerOp);
        a.syscall();
    }

    /// <summary>Pads to a handler's offset in the page.</summary>
    private static void PadTo(Assembler a, int offset)
    {
        int now = Assemble(_ => { foreach (Instruction i in a.Instructions) { _.AddInstruction(i); } }, Code).Length;
        a.db(Enumerable.Repeat((byte)0xCC, offset - now).ToArray());
    }

    [Fact]
    public void A_kernel_goes_to_user_mode_and_comes_back_by_syscall()
    {
        using TrapTestDomain domain = Run(
            a =>
            {
                // iret frame: rax r11 rcx flags rip cs rflags rsp ss, pushed from its end.
                a.push(0x2B);
                a.mov(rax, TrapTestDomain.UserStackTop);
                a.push(rax);
                a.push(0x202);
                a.push(0x33);
                a.mov(rax, TrapTestDomain.UserCode);
                a.push(rax);
                a.push(0x100);
                a.push(0);
                a.push(0);
                a.push(0x77);
                a.mov(eax, (uint)HypercallNumber.Iret);
                a.syscall();
                PadTo(a, 0x300);
                a.mov(rbx, __qword_ptr[rsp + 16]);
                a.mov(r12, __qword_ptr[rsp + 24]);
                Finish(a);
            },
            a =>
            {
                a.mov(r13, rax);
                a.mov(eax, 39);
                a.syscall();
            });
        Assert.Equal(ShutdownReason.PowerOff, domain.Domain.Shutdown);
        Assert.Equal(0x77UL, domain.Vcpu.State->Gpr[13]);
        Assert.Equal(TrapTestDomain.UserCode + 10, domain.Vcpu.State->Gpr[3]);
        Assert.Equal(FlatSegments.Code64, (ushort)domain.Vcpu.State->Gpr[12]);
        Assert.True(domain.Vcpu.InKernel);
    }

    [Fact]
    public void A_breakpoint_arrives_after_itself_and_the_forced_emulation_shows_xen()
    {
        using TrapTestDomain domain = Run(a =>
        {
            a.mov(eax, 0x40000000);
            a.db(0x0F, 0x0B, 0x78, 0x65, 0x6E);
            a.cpuid();
            a.mov(r12, rbx);
            a.int3();
            PadTo(a, 0x430);
            a.mov(r13, __qword_ptr[rsp + 16]);
            Finish(a);
        });
        Assert.Equal(0x566E6558UL, domain.Vcpu.State->Gpr[12]);
        Assert.Equal(Code + 5 + 5 + 2 + 3 + 1, domain.Vcpu.State->Gpr[13]);
    }

    [Fact]
    public void A_fault_on_a_stack_that_is_not_there_crashes_the_domain()
    {
        using TrapTestDomain domain = Run(a =>
        {
            a.mov(rsp, 0x7777_0000UL);
            a.push(rax);
        });
        Assert.Equal(ShutdownReason.Crash, domain.Domain.Shutdown);
    }

    [Fact]
    public void An_event_interrupts_a_loop_once_it_is_unmasked()
    {
        using TrapTestDomain domain = Run(
            a =>
            {
                Label loop = a.CreateLabel();
                a.mov(__byte_ptr[rdi], 0);
                a.Label(ref loop);
                a.pause();
                a.jmp(loop);
                PadTo(a, 0x100);
                Finish(a);
            },
            prepare: d =>
            {
                ulong info = Code + 0x10_0000;
                d.Map(d.Vcpu.KernelRoot, info, d.Domain.SharedInfoFrame.Value);
                d.Vcpu.State->Gpr[7] = info + 1;
                d.UpcallPending = 1;

                // An event from elsewhere: the bit, then the notification, until it was seen.
                new Thread(() =>
                {
                    while (d.Domain.Shutdown is null)
                    {
                        d.Vcpu.Notify();
                        Thread.Yield();
                    }
                }).Start();
            });
        Assert.Equal(ShutdownReason.PowerOff, domain.Domain.Shutdown);
        Assert.Equal(1, domain.UpcallMask);
    }
}
