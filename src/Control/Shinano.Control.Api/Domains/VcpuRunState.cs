namespace Shinano.Control.Api.Domains;

/// <summary>What one vCPU is doing, as <c>xm vcpu-list</c> shows it.</summary>
public enum VcpuRunState
{
    /// <summary>Never brought up, or taken down with VCPUOP_down (---p with "-" for the CPU in the classic list).</summary>
    Offline,

    /// <summary>Executing guest code on its host thread (r--).</summary>
    Running,

    /// <summary>In SCHEDOP_block or SCHEDOP_poll (-b-).</summary>
    Blocked,

    /// <summary>Ready, but paused with its domain (--p).</summary>
    Paused,

    /// <summary>Ready, but its domain has used up the CPU time that its cap or its weight leaves to it (---).</summary>
    Runnable,
}
