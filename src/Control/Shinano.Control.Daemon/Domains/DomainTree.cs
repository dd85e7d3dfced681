using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using Shinano.Control.Api.Domains;
using Shinano.Control.Daemon.Devices;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server;

namespace Shinano.Control.Daemon.Domains;

/// <summary>
/// Lays out a domain's nodes (docs/misc/xenstore-paths) with the rights that Xen's toolstack gives: the guest reads what describes it and
/// writes where it answers.
/// </summary>
internal sealed class DomainTree(LocalStore store, DeviceTree devices)
{
    /// <summary>console/limit: bytes of backlog (docs/misc/console.txt).</summary>
    private const int ConsoleLimit = 1 << 20;

    private const string GenerationNode = "platform/generation-id";
    private const int GenerationSize = 16;
    private const int SeedSize = 32;

    /// <summary>libxl__domain_make: the nodes the guest owns.</summary>
    private static readonly string[] GuestNodes =
    [
        "control/shutdown", "control/feature-poweroff", "control/feature-reboot", "control/feature-suspend", "control/sysrq",
        "device/suspend/event-channel", "data", "drivers", "feature", "attr", "error",
    ];

    private static readonly string[] ReadableDirectories = ["", "/cpu", "/memory", "/control", "/store", "/console", "/device", "/device/suspend", "/platform"];

    public static string DomainPath(int id) => Invariant($"/local/domain/{id}");

    public static string VmPath(Guid uuid) => $"/vm/{uuid:D}";

    /// <summary>Domain 0's own nodes, which tools look for.</summary>
    public void WriteDomainZero() => store.Transact(nodes =>
    {
        string path = DomainPath(0);
        nodes.Write($"{path}/name", Configuration.DomainName.DomainZero);
        nodes.Write($"{path}/domid", "0");
        nodes.Write($"{path}/vm", VmPath(Guid.Empty));
        nodes.Write($"{VmPath(Guid.Empty)}/name", Configuration.DomainName.DomainZero);
        nodes.Write($"{VmPath(Guid.Empty)}/uuid", Guid.Empty.ToString("D"));
    });

    /// <summary>Writes a built domain's nodes and introduces it.</summary>
    public void Write(DomainRecord record, DomainBuildResult build)
    {
        DomainSpec spec = record.Spec;
        NodePermission[] readable = Readable(spec.DomainId);
        NodePermission[] writable = [new(Number(spec.DomainId), NodeAccess.None)];
        store.Transact(nodes =>
        {
            string path = DomainPath(spec.DomainId);
            foreach ((string node, string value) in Describe(record, build))
            {
                nodes.Write($"{path}/{node}", value, readable);
            }

            foreach (string node in GuestNodes)
            {
                nodes.Write($"{path}/{node}", "", writable);
            }

            foreach (string directory in ReadableDirectories)
            {
                nodes.SetPermissions(path + directory, readable);
            }

            for (int vcpu = 0; vcpu < spec.MaxVcpus; vcpu++)
            {
                nodes.SetPermissions(Invariant($"{path}/cpu/{vcpu}"), readable);
            }

            WriteVm(nodes, record);
        });
        store.IntroduceDomain(Number(spec.DomainId), build.StoreRingFrame, build.StoreEventPort);
        BindRelay(record);
    }

    /// <summary>Lets the domain's process, and no other, speak for an introduced domain. To be called for each domain that is found again.</summary>
    public void BindRelay(DomainRecord record)
    {
        DomainSpec spec = record.Spec;
        if (RelayToken.TryParse(spec.XenStoreToken) is { } token && store.IsIntroduced(Number(spec.DomainId)))
        {
            if (record.FormerIds.Count > 0)
            {
                store.SetFormerIds(Number(spec.DomainId), [.. record.FormerIds.Select(Number)]);
            }

            store.BindRelay(Number(spec.DomainId), token);
        }
    }

    /// <summary>Removes every trace. Safe to call for a domain that was never written.</summary>
    public void Remove(int id, Guid? uuid)
    {
        store.ReleaseDomain(Number(id));
        devices.RemoveAll(id);
        store.Transact(nodes =>
        {
            nodes.Remove(DomainPath(id));
            if (uuid is { } value)
            {
                nodes.Remove(VmPath(value));
            }
        });
    }

    /// <summary>Brings the nodes of a renamed domain up to date.</summary>
    public void Rename(Guid oldUuid, DomainRecord record) => store.Transact(nodes =>
    {
        string path = DomainPath(record.Spec.DomainId);
        nodes.Write($"{path}/name", record.Name);
        if (oldUuid != record.Uuid)
        {
            nodes.Remove(VmPath(oldUuid));
            nodes.Write($"{path}/vm", VmPath(record.Uuid));
        }

        WriteVm(nodes, record);
    });

    /// <summary>docs/misc/xenstore-paths: ~/control/shutdown; the guest clears it when it has seen it.</summary>
    public void RequestShutdown(int id, string reason) => store.Nodes.Write($"{DomainPath(id)}/control/shutdown", reason);

    public void RequestSysRq(int id, char key) => store.Nodes.Write($"{DomainPath(id)}/control/sysrq", key.ToString());

    /// <summary>~/memory/target, in KiB.</summary>
    public void SetMemoryTarget(int id, long bytes) => store.Nodes.Write($"{DomainPath(id)}/memory/target", Invariant($"{bytes >> 10}"));

    public void SetMemoryMaximum(int id, long bytes) => store.Nodes.Write($"{DomainPath(id)}/memory/static-max", Invariant($"{bytes >> 10}"));

    public void SetVcpus(int id, int online, int maximum) => store.Transact(nodes =>
    {
        for (int vcpu = 0; vcpu < maximum; vcpu++)
        {
            // Only what changes: the guest's watch fires for each write.
            string node = Invariant($"{DomainPath(id)}/cpu/{vcpu}/availability");
            string value = vcpu < online ? "online" : "offline";
            if (nodes.TryReadString(node) != value)
            {
                nodes.Write(node, value);
            }
        }
    });

    /// <summary>The guest has shut down or crashed; watchers of @releaseDomain learn of it while its nodes are still there.</summary>
    public void NotifyShutdown(int id) => store.NotifyDomainShutdown(Number(id));

    /// <summary>Ids with nodes in the store, domain 0 left out.</summary>
    public IReadOnlyList<int> List() =>
    [
        .. (store.Nodes.TryList("/local/domain") ?? [])
            .Select(name => ushort.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out ushort id) ? id : 0)
            .Where(id => id > 0),
    ];

    /// <summary>The uuid that a domain's <c>vm</c> node names, or null.</summary>
    public Guid? ReadUuid(int id)
    {
        string? vm = store.Nodes.TryReadString($"{DomainPath(id)}/vm");
        return vm is not null && vm.StartsWith("/vm/", StringComparison.Ordinal) && Guid.TryParse(vm.AsSpan(4), out Guid uuid) ? uuid : null;
    }

    private static DomainId Number(int id) => new((ushort)id);

    private static NodePermission[] Readable(int id) => [new(DomainId.Zero, NodeAccess.None), new(Number(id), NodeAccess.Read)];

    private static void WriteVm(IXenStoreNodes nodes, DomainRecord record)
    {
        string vm = VmPath(record.Uuid);
        NodePermission[] readable = Readable(record.Spec.DomainId);
        foreach ((string node, string value) in DescribeVm(record))
        {
            nodes.Write($"{vm}/{node}", value, readable);
        }

        nodes.SetPermissions(vm, readable);
        nodes.SetPermissions($"{vm}/image", readable);
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

        // docs/misc/xenstore-paths: ~/platform/generation-id, two numbers, as libxl__ms_vm_genid_set writes them; new whenever a guest may go on from a state that
        // another has gone on from, too. The seed is ours: random bytes for the guest's generator (docs/guide/fork.md).
        byte[] generation = RandomNumberGenerator.GetBytes(GenerationSize);
        yield return (
            GenerationNode, Invariant($"{BinaryPrimitives.ReadUInt64LittleEndian(generation)}:{BinaryPrimitives.ReadUInt64LittleEndian(generation.AsSpan(sizeof(ulong)))}"));
        yield return ("platform/generation-seed", Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SeedSize)));

        // No pty here: the socket that xm console connects to.
        yield return ("console/tty", spec.Console.SocketPath);

        // libxl_domain.c: libxl_vncviewer_exec reads these two. vnc-pass is left out: the guest could read it.
        if (spec.Vnc is { } vnc && build.VncPort is { } port)
        {
            yield return ("console/vnc-listen", vnc.Listen);
            yield return ("console/vnc-port", Invariant($"{port}"));
        }
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
