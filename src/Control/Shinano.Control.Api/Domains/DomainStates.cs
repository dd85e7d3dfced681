namespace Shinano.Control.Api.Domains;

/// <summary>State of a domain as the tools show it (public/domctl.h: XEN_DOMINF_*). Several may be set at once.</summary>
[Flags]
public enum DomainStates
{
    /// <summary>Not built yet, or runnable without a vCPU on a host thread at the moment.</summary>
    None = 0,

    /// <summary>At least one vCPU is executing (r).</summary>
    Running = 1,

    /// <summary>Every online vCPU waits for an event (b).</summary>
    Blocked = 2,

    /// <summary>Paused by the toolstack (p). Never entered by the guest itself.</summary>
    Paused = 4,

    /// <summary>The guest has shut down; <see cref="DomainStatus.ShutdownReason"/> says why (s).</summary>
    Shutdown = 8,

    /// <summary>Shut down with <see cref="Domains.ShutdownReason.Crash"/>, or its process died (c).</summary>
    Crashed = 16,

    /// <summary>Being torn down (d).</summary>
    Dying = 32,
}
