using Shinano.Cpu;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Linux;
using Shinano.X86;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// One vCPU's thread: run guest code until an exit, serve it, deliver what is pending, run again. Created by <see cref="DomainRunner"/>.
/// </summary>
public sealed unsafe class VcpuRunner
{
    private readonly PvVcpu _vcpu;
    private readonly ExceptionHandler _exceptions;
    private readonly CpuidPolicy _cpuid;
    private readonly Thread _thread;
    private readonly long[] _exits = new long[Enum.GetValues<CpuExitKind>().Length];
    private readonly Lock _affinityLock = new();
    private ThreadCpuClock? _clock;
    private long _finalCpuTime;
    private IReadOnlyList<int> _affinity = [];

    internal VcpuRunner(PvVcpu vcpu, CpuidPolicy cpuid)
    {
        _vcpu = vcpu;
        _cpuid = cpuid;
        _exceptions = new ExceptionHandler(vcpu, cpuid);
        _thread = new Thread(ThreadMain, 1 << 20) { IsBackground = true, Name = $"{vcpu.Domain.Id}v{vcpu.Id}" };
        vcpu.Waker = vcpu.Scheduling.Wake;
    }

    /// <summary>CPU time that the vCPU's thread has used, in nanoseconds. Any thread.</summary>
    public long CpuTimeNanoseconds => Volatile.Read(ref _clock)?.ReadNanoseconds() ?? Volatile.Read(ref _finalCpuTime);

    /// <summary>Host CPU on which the thread was last seen; -1 when unknown.</summary>
    public int HostCpu => Volatile.Read(ref _clock)?.LastHostCpu() ?? -1;

    /// <summary>The kernel's number of the vCPU's thread; 0 while there is none. Any thread.</summary>
    public int ThreadId => Volatile.Read(ref _clock)?.ThreadId ?? 0;

    /// <summary>Host CPUs that the vCPU's thread is kept on; empty for all that the domain process has. Any thread.</summary>
    public IReadOnlyList<int> Affinity => Volatile.Read(ref _affinity);

    /// <summary>Keeps the vCPU's thread on some host CPUs, now and when it starts. Any thread but a vCPU's.</summary>
    /// <param name="cpus">Numbers; empty for all that the caller has.</param>
    /// <returns>False when none of them can be used; then everything is as it was.</returns>
    public bool TrySetAffinity(IReadOnlyList<int> cpus)
    {
        lock (_affinityLock)
        {
            IReadOnlyList<int> all = ThreadAffinity.OfCurrentThread();
            if (cpus.Count > 0 && !cpus.Intersect(all).Any())
            {
                return false;
            }

            if (ThreadId is var thread and not 0 && !ThreadAffinity.TrySet(thread, cpus.Count > 0 ? cpus : all))
            {
                return false;
            }

            _affinity = [.. cpus];
            return true;
        }
    }

    /// <summary>Exits of a kind so far. Any thread.</summary>
    public long CountOf(CpuExitKind kind) => Volatile.Read(ref _exits[(int)kind]);

    /// <summary>Exceptions of a vector so far. Any thread.</summary>
    public long CountOf(ExceptionVector vector) => _exceptions.CountOf(vector);

    internal void Start() => _thread.Start();

    internal bool Join(TimeSpan limit) => _thread.Join(limit);

    private void ThreadMain()
    {
        lock (_affinityLock)
        {
            ThreadCpuClock clock = ThreadCpuClock.OfCurrentThread();
            if (_affinity.Count > 0 && !ThreadAffinity.TrySet(clock.ThreadId, _affinity))
            {
                _vcpu.Domain.Log.Write($"{_vcpu.Domain.Id}v{_vcpu.Id}: the host CPUs it was pinned to are gone");
            }

            Volatile.Write(ref _clock, clock);
        }

        try
        {
            Loop();
        }
        catch (Exception e)
        {
            // A broken invariant of ours stops this domain, loudly, and nothing else.
            _vcpu.Domain.Log.Write($"{_vcpu.Domain.Id}v{_vcpu.Id}: internal error: {e}");
            _vcpu.Domain.Crash(_vcpu, $"internal error in the hypervisor: {e.Message}");
            _vcpu.Scheduling.WaitUntilRunnable();
        }
        finally
        {
            Volatile.Write(ref _finalCpuTime, _clock!.ReadNanoseconds());
            Volatile.Write(ref _clock, null);
        }
    }

    private void Loop()
    {
        VirtualCpu cpu = _vcpu.Cpu;
        while (_vcpu.Scheduling.WaitUntilRunnable())
        {
            _vcpu.HeedCall();
            TrapDelivery.DeliverPending(_vcpu);
            if (_vcpu.Domain.Shutdown is not null)
            {
                continue;
            }

            cpu.Run(out CpuExit exit);
            _exits[(int)exit.Kind]++;
            Dispatch(in exit);
        }
    }

    private void Dispatch(in CpuExit exit)
    {
        switch (exit.Kind)
        {
            case CpuExitKind.Kicked:
                // Clearing the kick must come before the look at what it was for (VirtualCpu.Run clears it).
                Interlocked.MemoryBarrier();
                break;
            case CpuExitKind.Syscall:
                Syscall();
                break;
            case CpuExitKind.Exception:
                _exceptions.Handle(in exit);
                break;
            case CpuExitKind.Cpuid:
                _cpuid.Execute(_vcpu);
                _vcpu.State->Rip += (ulong)exit.InstructionLength;
                TrapDelivery.CompleteInstruction(_vcpu);
                break;
            case CpuExitKind.Hypercall:
                // VMCALL is no instruction of a PV guest.
                _vcpu.State->Rip -= VmcallLength;
                TrapDelivery.Inject(_vcpu, ExceptionVector.InvalidOpcode);
                break;
            case CpuExitKind.ReadMsr:
            case CpuExitKind.WriteMsr:
            case CpuExitKind.PortIo:
            case CpuExitKind.Halt:
                _exceptions.HandlePrivileged();
                break;
            case CpuExitKind.Probe:
            case CpuExitKind.InterruptWindow:
                break;
            default:
                _vcpu.Domain.Crash(_vcpu, $"the CPU stopped with {exit.Kind} at {_vcpu.State->Rip:x}");
                break;
        }
    }

    private void Syscall()
    {
        if (!_vcpu.InKernel)
        {
            TrapDelivery.InjectSyscall(_vcpu);
            return;
        }

        CpuState* state = _vcpu.State;
        ulong number = state->Gpr[0];
        ulong after = state->Rip;

        // SYSCALL itself (SDM 2B); SYSRET brings the same values back, and flat segments.
        state->Gpr[1] = after;
        state->Gpr[11] = state->Rflags;
        TrapDelivery.SetFlatCode(state);
        HypercallArguments arguments = new(state->Gpr[7], state->Gpr[6], state->Gpr[2], state->Gpr[10], state->Gpr[8], state->Gpr[9]);
        long result = _vcpu.Domain.Hypercalls.Call(_vcpu, number, in arguments);
        if (result == HypercallTable.Restart)
        {
            state->Rip = after - SyscallLength;
            return;
        }

        if (result != HypercallTable.RegistersLoaded)
        {
            state->Gpr[0] = (ulong)result;
        }
    }

    private const ulong SyscallLength = 2;
    private const ulong VmcallLength = 3;
}
