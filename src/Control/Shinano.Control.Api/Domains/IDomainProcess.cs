using Shinano.Control.Api.Domains.Devices;
using StreamJsonRpc;

namespace Shinano.Control.Api.Domains;

/// <summary>
/// The control channel of one domain process, over its unix socket. The process listens on <see cref="DomainSpec.ControlSocketPath"/> as the first
/// thing it does; xend connects, and connects again after its own restart. Several connections may be open; each gets the events.
/// </summary>
/// <remarks>
/// <para>Order of a start: spawn, <see cref="HelloAsync"/>, <see cref="BuildAsync"/>, xend writes the xenstore nodes and introduces the domain,
/// <see cref="UnpauseAsync"/>. A built domain is paused.</para>
/// <para>A guest that has shut down stays, with its status, until <see cref="DestroyAsync"/>: nothing is lost while xend is away. A
/// process that ends any other way counts as crashed. A loss of the connection changes nothing in the domain.</para>
/// <para>Failures are <see cref="DomainFailureException"/>. Calls may come concurrently and must answer while vCPUs spin with interrupts off.</para>
/// </remarks>
[JsonRpcContract]
public partial interface IDomainProcess
{
    Task<DomainHello> HelloAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Allocates memory, loads kernel and ramdisk and leaves the domain paused. Once per process; a second call is
    /// <see cref="DomainFailureCode.WrongState"/>. After a failure the process only waits for <see cref="DestroyAsync"/>.
    /// </summary>
    Task<DomainBuildResult> BuildAsync(CancellationToken cancellationToken);

    Task<DomainStatus> GetStatusAsync(CancellationToken cancellationToken);

    /// <summary>Returns when no vCPU executes any more. Pausing a paused domain is no error and does not nest.</summary>
    Task PauseAsync(CancellationToken cancellationToken);

    Task UnpauseAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Stops the vCPUs, sends viewers the rest of the console and EOF, removes control and console sockets, and ends the process with exit code
    /// 0. The reply is sent before the process ends; waiters should wait for the process.
    /// </summary>
    Task DestroyAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Attaches a device, whose nodes are in xenstore already; before the first unpause or later. Returns when the back end is in state InitWait.
    /// </summary>
    Task AttachDeviceAsync(DeviceSpec device, CancellationToken cancellationToken);

    /// <summary>
    /// Detaches a device: the guest is asked and waited for, or not (<paramref name="force"/>). A cancelled wait leaves the request standing, and
    /// <see cref="IDomainEvents.DeviceEnded"/> tells when the guest has let go. xend removes the nodes.
    /// </summary>
    Task DetachDeviceAsync(string kind, string id, bool force, CancellationToken cancellationToken);

    /// <summary>Changes an attached device: another medium in a drive, or the present size of its file.</summary>
    Task ReconfigureDeviceAsync(DeviceSpec device, CancellationToken cancellationToken);

    /// <summary>Takes a snapshot of the volume that a disk writes to: its requests wait meanwhile, and go to the new head afterwards.</summary>
    /// <param name="id">The disk's number.</param>
    /// <param name="snapshot">POOL/VOLUME@SNAPSHOT.</param>
    /// <param name="guid">What the snapshot is known by, whatever its name is later.</param>
    /// <param name="cancellationToken">Of a snapshot that has not begun yet.</param>
    Task SnapshotVolumeAsync(string id, string snapshot, Guid guid, CancellationToken cancellationToken);

    /// <summary>
    /// Begins to copy what lies below the head of the volume that a disk writes to into the head, while the guest goes on. No error when that goes on already. A snapshot and whatever
    /// else closes the image interrupts it; it goes on with the image that is opened then.
    /// </summary>
    /// <param name="id">The disk's number.</param>
    /// <param name="volume">POOL/VOLUME.</param>
    /// <param name="cancellationToken">Of a call that waits for another.</param>
    Task BeginFlattenAsync(string id, string volume, CancellationToken cancellationToken);

    /// <summary>Ends it; does nothing when there is none.</summary>
    Task StopFlattenAsync(string id, CancellationToken cancellationToken);

    /// <summary>What of that goes on, and what was last, by disk; merges that the process began by itself among it.</summary>
    Task<IReadOnlyList<FlattenStatus>> GetFlattenAsync(CancellationToken cancellationToken);

    Task<IReadOnlyList<DeviceStatus>> GetDevicesAsync(CancellationToken cancellationToken);

    /// <summary>Ceiling for the guest's balloon, bytes. Below what it holds is allowed: it then can only give back.</summary>
    Task SetMaxMemoryAsync(long bytes, CancellationToken cancellationToken);

    /// <summary>Most CPU time over all vCPUs, in percent of one host CPU; 0 is no limit.</summary>
    Task SetCpuCapAsync(int percent, CancellationToken cancellationToken);

    /// <summary>What the domain may use of the host's CPUs for now, beside its cap; xend's means to keep domains to their weights.</summary>
    /// <param name="millionths">Of one CPU, from 0; null takes the allowance away.</param>
    /// <param name="milliseconds">How long it holds unless it is given again: a xend that ended limits nobody.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    Task SetCpuAllowanceAsync(long? millionths, int milliseconds, CancellationToken cancellationToken);

    /// <summary>Host CPUs that a vCPU's thread may run on; empty means all. <see cref="DomainFailureCode.InvalidArgument"/> when none of them can be used.</summary>
    Task SetAffinityAsync(int vcpu, IReadOnlyList<int> cpus, CancellationToken cancellationToken);

    Task SetNameAsync(string name, CancellationToken cancellationToken);

    /// <summary>Sends a trigger to one vCPU (nmi, init) or to the domain (reset, power, sleep).</summary>
    Task SendTriggerAsync(DomainTrigger trigger, int vcpu, CancellationToken cancellationToken);

    /// <summary>
    /// Writes a Xen ELF core (docs/misc/dump-core-format) to a new file. The domain is paused meanwhile and left as it was. Partial files are
    /// removed on failure.
    /// </summary>
    Task DumpCoreAsync(string path, CancellationToken cancellationToken);

    /// <summary>
    /// Pauses the domain and lets go of the guest, so that it keeps still: input and output under way end, requests to xenstore are answered. Until
    /// <see cref="ResumeAsync"/> the domain cannot be unpaused; it goes on by itself when the last connection ends. <see cref="DomainFailureCode.WrongState"/> when it has shut down or is suspended already; after a
    /// failure it is as it was.
    /// </summary>
    Task SuspendAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Writes the suspended domain to a file (docs/formats/saved-domain.md), under a name of its own until it is whole and on the disk. An existing file is
    /// replaced then, and is untouched after a failure. When the last connection ends before <see cref="ResumeAsync"/> or <see cref="DestroyAsync"/>, there is no file: the
    /// domain goes on, and its disks with it.
    /// </summary>
    /// <param name="description">xend's section of the file.</param>
    Task<SaveResult> WriteStateAsync(string path, byte[] description, CancellationToken cancellationToken);

    /// <summary>
    /// Begins to send the domain to a socket of xend's (docs/formats/migration-stream.md): what a machine for it must be, and, when it is <paramref name="live"/>,
    /// its memory in rounds while it runs. Returns when it is to be suspended. Rounds are told as progress, stage "round".
    /// </summary>
    Task<PreCopyResult> BeginDepartureAsync(string socketPath, bool live, CancellationToken cancellationToken);

    /// <summary>Makes durable and gives up what of the host's only one may have, images above all. The domain is suspended.</summary>
    Task LetGoOfHostAsync(CancellationToken cancellationToken);

    /// <summary>Sends state and last pages of the suspended domain; returns the number of those pages.</summary>
    Task<long> SendStateAsync(CancellationToken cancellationToken);

    /// <summary>A domain that came from elsewhere belongs here now: the end of the connection that it came on is not its end any more.</summary>
    Task KeepAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Fixes state and memory of the suspended domain and gives them to whoever shows the token, until <see cref="WithdrawForkAsync"/>; the domain may go on
    /// meanwhile. An earlier offer ends.
    /// </summary>
    Task OfferForkAsync(ForkOffer offer, CancellationToken cancellationToken);

    /// <summary>Ends an offer. Copies that have what they need are not affected. Does nothing when there is none.</summary>
    Task WithdrawForkAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Takes a suspended domain up again, paused or not as it was before; a departure is over. Does nothing for one that is not suspended. Fails when an image that was
    /// given up is not to be had; then the domain stays suspended and the call may be made again.
    /// </summary>
    Task ResumeAsync(CancellationToken cancellationToken);

    /// <summary>Handles debug keys as Xen's console does ('q' domain, 'd' registers, 'e' event channels, ...); output goes to the hypervisor log.</summary>
    Task SendDebugKeysAsync(string keys, CancellationToken cancellationToken);

    Task<IReadOnlyList<PerfCounter>> GetPerfCountersAsync(CancellationToken cancellationToken);

    /// <summary>Counters of CPU engine and vCPUs. A domain process from before there was this call answers that it does not know it.</summary>
    Task<DomainPerformance> GetPerformanceAsync(CancellationToken cancellationToken);

    /// <summary>The hypervisor's messages about this domain, oldest first, and what it wrote by HYPERVISOR_console_io. Lines, bounded.</summary>
    Task<string> GetHypervisorLogAsync(bool clear, CancellationToken cancellationToken);
}
