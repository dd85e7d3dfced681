using System.CommandLine;
using Shinano.Cli.Xm;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Api.Xend;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>flatten: by xvol itself, or by the domain process that has the volume open.</summary>
internal static class FlattenVerb
{
    /// <summary>How often the domain is asked how far it is.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    public static void AddTo(Command root, XvolContext context)
    {
        Option<bool> background = Verb.Flag("--background", "Return at once while a domain that uses the volume does it; 'xvol get flatten' shows how far it is");
        Option<bool> stop = Verb.Flag("-s", "Stop it: what was copied stays copied");
        Argument<string> flat = context.Volume();
        context.Add(
            root,
            "flatten",
            "Makes a volume independent of the layers that it builds on, by copying what they hold.",
            [background, stop, flat],
            async (result, token) =>
            {
                VolumeName name = VolumeName.ParseVolume(result.GetRequiredValue(flat), "flatten");
                if (result.GetValue(stop))
                {
                    using XendClient xend = await context.Environment.ConnectAsync(token);
                    await xend.StopFlattenAsync(name.ToString(), token);
                    return;
                }

                await FlattenAsync(context, name, result.GetValue(background), token);
            });
    }

    /// <summary>Adds to a list how far domains are.</summary>
    public static async Task<IReadOnlyList<VolumeInfo>> AddProgressAsync(XvolContext context, IReadOnlyList<VolumeInfo> list, CancellationToken token)
    {
        if (!list.Any(info => VolumeBusyException.IsDomain(info.InUseBy)))
        {
            return list;
        }

        using XendClient xend = await context.Environment.ConnectAsync(token);
        Dictionary<string, FlattenStatus> running = (await xend.ListFlattenAsync(token)).Where(work => !work.IsEnded).DistinctBy(work => work.Volume).ToDictionary(work => work.Volume);
        return [.. list.Select(info => running.TryGetValue(info.Name, out FlattenStatus? work) ? info with { Flatten = Progress(work) } : info)];
    }

    private static async Task FlattenAsync(XvolContext context, VolumeName name, bool background, CancellationToken token)
    {
        DirectoryPool pool = context.Pools.GetDirectoryPool(name, "flatten");
        using TransferDisplay display = new(context.Environment, $"flattening {name}");
        if (background && !VolumeBusyException.IsDomain(pool.FindHolder(name)))
        {
            throw new VolumeException($"cannot flatten '{name}': no domain uses it that could do that in the background");
        }

        try
        {
            await pool.FlattenAsync(name, display, token);
        }
        catch (VolumeBusyException busy) when (busy.IsHeldByDomain)
        {
            using XendClient xend = await context.Environment.ConnectAsync(token);
            await xend.BeginFlattenAsync(name.ToString(), token);
            if (!background)
            {
                await WaitAsync(xend, name, display, token);
            }
        }
    }

    private static async Task WaitAsync(XendClient xend, VolumeName name, TransferDisplay display, CancellationToken token)
    {
        while (true)
        {
            FlattenStatus work = (await xend.ListFlattenAsync(token)).FirstOrDefault(work => work.Volume == name.ToString())
                ?? throw new VolumeException($"cannot flatten '{name}': it was stopped, or the domain is gone; what was copied stays copied");
            if (work.Failure is { } reason)
            {
                throw new VolumeException(reason);
            }

            display.Report(Progress(work));
            if (work.IsEnded)
            {
                return;
            }

            await Task.Delay(Pause, token);
        }
    }

    private static TransferProgress Progress(FlattenStatus work) => new(work.Done, work.Total);
}
