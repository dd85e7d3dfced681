using System.Diagnostics;
using System.Globalization;

namespace Shinano.Storage.Pools;

/// <summary>A pool that is a dataset of the host's ZFS, managed through its own <c>zfs</c> command (zfs(8)); its messages are the user's messages.</summary>
/// <param name="name">Our name of the pool.</param>
/// <param name="dataset">The dataset that its volumes are in.</param>
internal sealed class ZfsPool(string name, string dataset) : IVolumePool
{
    public string Name => name;

    public async Task<ImageReference> ResolveAsync(VolumeName name, CancellationToken cancellationToken = default)
    {
        string readOnly = (await RunAsync(["get", "-H", "-o", "value", "readonly", Map(name)], cancellationToken)).Trim();
        return new ImageReference($"/dev/zvol/{Map(name)}", ImageFormat.Raw) { ReadOnly = name.Snapshot is not null || readOnly == "on" };
    }

    public async Task<IReadOnlyList<VolumeInfo>> ListAsync(CancellationToken cancellationToken = default)
    {
        string text = await RunAsync(
            ["list", "-H", "-p", "-r", "-t", "filesystem,volume,snapshot", "-o", "name,type,used,available,referenced,volsize,origin,creation", dataset], cancellationToken);
        List<VolumeInfo> list = [];
        foreach (string[] fields in text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('\t')).Where(fields => fields.Length == 8))
        {
            if (fields[1] == "filesystem" && fields[0] != dataset)
            {
                continue;
            }

            list.Add(new VolumeInfo
            {
                Name = Unmap(fields[0]),
                Type = fields[1] == "filesystem" ? "pool" : fields[1],
                Used = Number(fields[2]) ?? 0,
                Available = Number(fields[3]),
                Referenced = Number(fields[4]) ?? 0,
                VolumeSize = Number(fields[5]),
                Origin = fields[6] == "-" ? null : Unmap(fields[6]),
                Created = Number(fields[7]) is { } seconds ? DateTimeOffset.FromUnixTimeSeconds(seconds) : null,
            });
        }

        return list;
    }

    public Task CreateAsync(VolumeName name, long size, CancellationToken cancellationToken = default) =>
        RunAsync(["create", "-p", "-V", size.ToString(CultureInfo.InvariantCulture), Map(name)], cancellationToken);

    public Task SnapshotAsync(VolumeName name, CancellationToken cancellationToken = default) => RunAsync(["snapshot", Map(name)], cancellationToken);

    public Task CloneAsync(VolumeName snapshot, VolumeName name, CancellationToken cancellationToken = default) =>
        RunAsync(["clone", "-p", Map(snapshot), Map(name)], cancellationToken);

    public Task RollbackAsync(VolumeName snapshot, bool destroyNewer, CancellationToken cancellationToken = default) =>
        RunAsync(["rollback", .. destroyNewer ? (string[])["-r"] : [], Map(snapshot)], cancellationToken);

    public Task PromoteAsync(VolumeName name, CancellationToken cancellationToken = default) => RunAsync(["promote", Map(name)], cancellationToken);

    public Task DestroyAsync(
        VolumeName name, bool snapshots, bool clones, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default) =>
        name.Volume.Length == 0
            ? throw new VolumeException($"cannot destroy '{name}': operation does not apply to pools")
            : RunAsync(["destroy", .. clones ? (string[])["-R"] : snapshots ? ["-r"] : [], Map(name)], cancellationToken);

    public Task RenameAsync(VolumeName name, VolumeName to, CancellationToken cancellationToken = default) =>
        RunAsync(["rename", Map(name), Map(to)], cancellationToken);

    public Task ResizeAsync(VolumeName name, long size, CancellationToken cancellationToken = default) =>
        RunAsync(["set", string.Create(CultureInfo.InvariantCulture, $"volsize={size}"), Map(name)], cancellationToken);

    public Task SetAsync(VolumeName name, string property, string value, CancellationToken cancellationToken = default) =>
        RunAsync(["set", $"{property}={value}", Map(name)], cancellationToken);

    private static long? Number(string text) => long.TryParse(text, CultureInfo.InvariantCulture, out long value) ? value : null;

    private string Map(VolumeName name) => $"{dataset}{name.ToString()[name.Pool.Length..]}";

    private string Unmap(string path) => path.StartsWith(dataset, StringComparison.Ordinal) ? Name + path[dataset.Length..] : path;

    private static async Task<string> RunAsync(string[] arguments, CancellationToken cancellationToken)
    {
        ProcessStartInfo start = new("zfs", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw new VolumeException("the pool is the host's ZFS, and there is no 'zfs' command (Debian's package zfsutils-linux)");
        }

        using (process)
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
            return process.ExitCode == 0
                ? await output.ConfigureAwait(false)
                : throw new VolumeException((await error.ConfigureAwait(false)).Trim() is { Length: > 0 } said ? said : $"zfs {arguments[0]} ended with {process.ExitCode}");
        }
    }
}
