using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Grants;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Time;
using Shinano.Hypervisor.Traps;

namespace Shinano.Hypervisor.Saving;

/// <summary>The subsystems of a domain that keep a state beside the guest's memory.</summary>
public sealed record DomainParts(
    Domain Domain,
    CpuidPolicy Cpuid,
    MmuHypercalls Mmu,
    VmAssists Assists,
    EventChannels Events,
    GrantTable Grants,
    DomainClock Clock,
    DomainTimers Timers,
    VcpuHypercalls Vcpus,
    SchedulingHypercalls Scheduling,
    PhysicalDeviceHypercalls PhysicalDevices);
