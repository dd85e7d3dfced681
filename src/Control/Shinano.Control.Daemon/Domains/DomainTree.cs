using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Daemon.Store;

namespace Shinano.Control.Daemon.Domains;

/// <summary>
/// Lays out a domain's nodes (docs/misc/xenstore-paths) with the rights that Xen's toolstack gives: the guest reads what describes it and
/// writes where it answers.
/// </summary>
internal sealed class DomainTree(IXenStore store)
{
    /// <summary>console/limit: bytes of backlog (docs/misc/console.txt).</summary>
    private const int ConsoleLimit = 1 << 20;

    public static string DomainPath(int id) => string.Create(CultureInfo.InvariantCulture, $"/local/domain/{id}");

    public static string VmPath(Guid uuid) => $"/vm/{uuid:D}";

    /// <summary>Domain 0's own nodes, which tools look for.</summary>
    public async Task WriteDomainZeroAsync(CancellationToken cancellationToken)
    {
        string path = DomainPath(0);
        await store.WriteAsync($"{path}/name", Configuration.DomainName.DomainZero, cancellationToken);
        await store.WriteAsync($"{path}/domid", "0", cancellationToken);
        await store.WriteAsync($"{path}/vm", VmPath(Guid.Empty), cancellationToken);
        await store.WriteAsync($"{VmPath(Guid.Empty)}/name", Configuration.DomainName.DomainZero, cancellationToken);
        await store.WriteAsync($"{VmPath(Guid.Empty)}/uuid", Guid.Empty.ToString("D"), cancellationToken);
    }

    public async Task WriteAsync(DomainRecord record, DomainBuildResult build, CancellationToken cancellationToken)
    {
        DomainSpec spec = record.Spec;
        string path = DomainPath(spec.DomainId);
        string vm = VmPath(record.Uuid);
        string[] readable = ["n0", Invariant($"r{spec.DomainId}")];
        string[] writable = [Invariant($"n{spec.DomainId}")];

        foreach ((string node, string value) in Describe(record, build))
        {
            await store.WriteAsync($"{path}/{node}", value, cancellationToken);
            await store.SetPermissionsAsync($"{path}/{node}", readable, cancellationToken);
        }

        foreach (string directory in (string[])["", "/cpu", "/memory", "/control", "/store", "/console", "/device"])
        {
            await store.SetPermissionsAsync(path + directory, readable, cancellationToken);
        }

        // libxl__domain_make: the nodes the guest owns.
        foreach (string node in (string[])
            [
                "control/shutdown", "control/feature-poweroff", "control/feature-reboot", "control/feature-suspend", "control/sysrq",
                "device/suspend/event-channel", "data", "drivers", "feature", "attr", "error",
            ])
        {
            await store.WriteAsync($"{path}/{node}", "", cancellationToken);
            await store.SetPermissionsAsync($"{path}/{node}", writable, cancellationToken);
        }

        // xenstored lets a guest look into /local and /local/domain as far as names go; device/suspend is the toolstack's.
        await store.SetPermissionsAsync($"{path}/device/suspend", readable, cancellationToken);

        foreach ((string node, string value) in DescribeVm(record))
        {
            await store.WriteAsync($"{vm}/{node}", value, cancellationToken);
            await store.SetPermissionsAsync($"{vm}/{node}", readable, cancellationToken);
        }

        await store.SetPermissionsAsync(vm, readable, cancellationToken);
        await store.SetPermissionsAsync($"{vm}/image", readable, cancellationToken);
        await store.IntroduceAsync(spec.DomainId, build.StoreRingFrame, build.StoreEventPort, cancellationToken);
    }

    /// <summary>Removes every trace. Safe to call for a domain that was never written.</summary>
    public async Task RemoveAsync(int id, Guid uuid, CancellationToken cancellationToken)
    {
        await store.ReleaseAsync(id, cancellationToken);
        await store.RemoveAsync(DomainPath(id), cancellationToken);
        await store.RemoveAsync(VmPath(uuid), cancellationToken);
    }

    public async Task RenameAsync(int id, Guid oldUuid, DomainRecord record, CancellationToken cancellationToken)
    {
        string[] readable = ["n0", Invariant($"r{id}")];
        await store.WriteAsync($"{DomainPath(id)}/name", record.Name, cancellationToken);
        if (oldUuid != record.Uuid)
        {
            await store.RemoveAsync(VmPath(oldUuid), cancellationToken);
            await store.WriteAsync($"{DomainPath(id)}/vm", VmPath(record.Uuid), cancellationToken);
        }

        foreach ((string node, string value) in DescribeVm(record))
        {
            await store.WriteAsync($"{VmPath(record.Uuid)}/{node}", value, cancellationToken);
            await store.SetPermissionsAsync($"{VmPath(record.Uuid)}/{node}", readable, cancellationToken);
        }
    }

    /// <summary>docs/misc/xenstore-paths: ~/control/shutdown; the guest clears it when it has seen it.</summary>
    public Task RequestShutdownAsync(int id, string reason, CancellationToken cancellationToken) =>
        store.WriteAsync($"{DomainPath(id)}/control/shutdown", reason, cancellationToken);

    public Task RequestSysRqAsync(int id, char key, CancellationToken cancellationToken) =>
        store.WriteAsync($"{DomainPath(id)}/control/sysrq", key.ToString(), cancellationToken);

    /// <summary>~/memory/target, in KiB.</summary>
    public Task SetMemoryTargetAsync(int id, long bytes, CancellationToken cancellationToken) =>
        store.WriteAsync($"{DomainPath(id)}/memory/target", Invariant($"{bytes >> 10}"), cancellationToken);

    public Task SetMemoryMaximumAsync(int id, long bytes, CancellationToken cancellationToken) =>
        store.WriteAsync($"{DomainPath(id)}/memory/static-max", Invariant($"{bytes >> 10}"), cancellationToken);

    public async Task SetVcpusAsync(int id, int online, int maximum, CancellationToken cancellationToken)
    {
        for (int vcpu = 0; vcpu < maximum; vcpu++)
        {
            string node = Invariant($"{DomainPath(id)}/cpu/{vcpu}/availability");
            await store.WriteAsync(node, vcpu < online ? "online" : "offline", cancellationToken);
        }
    }

    /// <summary>Ids with nodes in the store, domain 0 left out.</summary>
    public async Task<IReadOnlyList<int>> ListAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<string> names = await store.ListAsync("/local/domain", cancellationToken);
        return [.. names.Select(name => int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : 0).Where(id => id > 0)];
    }

    /// <summary>The uuid that a domain's <c>vm</c> node names, or null.</summary>
    public async Task<Guid?> ReadUuidAsync(int id, CancellationToken cancellationToken)
    {
        string? vm = await store.ReadAsync($"{DomainPath(id)}/vm", cancellationToken);
        return vm is not null && vm.StartsWith("/vm/", StringComparison.Ordinal) && Guid.TryParse(vm.AsSpan(4), out Guid uuid) ? uuid : null;
    }

    private static IEnumerable<(string Node, string Value)> Describe(DomainRecord record, DomainBuildResult build)
    {
        DomainSpec spec = record.Spec;
        yield return ("vm", VmPath(record.Uuid));
        yield return ("name", record.Name);
        yield return ("domid", Invariant($"{spec.DomainId}"));
        yield return ("memory/static-max", Invariant($"{spec.MaxMemoryBytes >> 10}"));
        yield return ("memory/target", Invariant($"{spec.MemoryBytes >> 10}"));
        for (int vcpu = 0; vcpu < spec.MaxVcpus; vcpu++)
        {
            yield return (Invariant($"cpu/{vcpu}/availability"), vcpu < spec.Vcpus ? "online" : "offline");
        }

        yield return ("control/platform-feature-multiprocessor-suspend", "1");
        yield return ("control/platform-feature-xs_reset_watches", "1");
        yield return ("store/ring-ref", Invariant($"{build.StoreRingFrame}"));
        yield return ("store/port", Invariant($"{build.StoreEventPort}"));
        yield return ("console/ring-ref", Invariant($"{build.ConsoleRingFrame}"));
        yield return ("console/port", Invariant($"{build.ConsoleEventPort}"));
        yield return ("console/type", "xenconsoled");
        yield return ("console/limit", Invariant($"{ConsoleLimit}"));
        yield return ("console/output", "pty");

        // No pty here: the socket that xm console connects to.
        yield return ("console/tty", spec.Console.SocketPath);
    }

    private static IEnumerable<(string Node, string Value)> DescribeVm(DomainRecord record)
    {
        yield return ("name", record.Name);
        yield return ("uuid", record.Uuid.ToString("D"));
        yield return ("start_time", Invariant($"{record.Created.ToUnixTimeSeconds()}"));
        yield return ("image/ostype", "linux");
        yield return ("image/kernel", record.Spec.KernelPath);
        yield return ("image/ramdisk", record.Spec.RamdiskPath ?? "");
        yield return ("image/cmdline", record.Spec.CommandLine);
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
