using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Traps;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor;

/// <summary>
/// A domain as the hypervisor sees it: memory, vCPUs and the subsystems that serve its hypercalls. Assembled by <c>Shinano.Machine</c>, which creates the
/// engine; the subsystems add themselves to <see cref="Hypercalls"/>.
/// </summary>
public sealed class Domain
{
    private readonly List<PvVcpu> _vcpus = [];

    public Domain(DomainId id, Guid uuid, GuestMemory memory, int maximumVcpus)
    {
        Id = id;
        Uuid = uuid;
        Memory = memory;
        MaximumVcpus = maximumVcpus;
    }

    public DomainId Id { get; }

    public Guid Uuid { get; }

    /// <summary>The machine space: guest RAM and the frames that the hypervisor shares with the guest.</summary>
    public GuestMemory Memory { get; }

    /// <summary>Most vCPUs, 1 to 32 (XEN_LEGACY_MAX_VCPUS: those with a place in the shared info page).</summary>
    public int MaximumVcpus { get; }

    public IReadOnlyList<PvVcpu> Vcpus => _vcpus;

    public HypercallTable Hypercalls { get; } = new();

    public HypervisorLog Log { get; } = new();

    /// <summary>Machine frame of the shared info page (public/xen.h: struct shared_info).</summary>
    public Mfn SharedInfoFrame { get; set; }

    /// <summary>
    /// Offered every page fault of the guest before the guest sees it, on the vCPU's thread: linear address and the hardware's error code. True when it was
    /// dealt with (an emulated page-table write) and the vCPU is to go on at its present RIP.
    /// </summary>
    public Func<PvVcpu, ulong, PageFaultErrors, bool>? PageFaultFilter { get; set; }

    /// <summary>Makes a frame the kernel's top-level page table, as MMUEXT_NEW_BASEPTR does; false when it may not be one. For MOV CR3.</summary>
    public Func<PvVcpu, Mfn, bool>? LoadRoot { get; set; }

    /// <summary>Set once when the domain stops; see <see cref="ShutdownReason"/>.</summary>
    public ShutdownReason? Shutdown { get; private set; }

    /// <summary>Raised once, on the thread that stopped the domain.</summary>
    public event Action<ShutdownReason>? ShutDown;

    /// <summary>Adds a vCPU; in order of their numbers, before any runs.</summary>
    public void AddVcpu(PvVcpu vcpu) => _vcpus.Add(vcpu);

    /// <summary>Stops the domain: no vCPU executes guest code afterwards. The first reason stands.</summary>
    public void RequestShutdown(ShutdownReason reason)
    {
        lock (_vcpus)
        {
            if (Shutdown is not null)
            {
                return;
            }

            Shutdown = reason;
        }

        foreach (PvVcpu vcpu in _vcpus)
        {
            vcpu.Notify();
        }

        ShutDown?.Invoke(reason);
    }

    /// <summary>The guest did what no guest may (a fault while handling a fault, a bad callback): it crashes, nothing else does. On the vCPU's own thread.</summary>
    public void Crash(PvVcpu? vcpu, string why)
    {
        Log.Write($"{Id}v{vcpu?.Id.ToString() ?? "-"}: domain crashed: {why}");
        if (vcpu is not null)
        {
            CrashReport.Write(vcpu);
        }

        RequestShutdown(ShutdownReason.Crash);
    }
}
