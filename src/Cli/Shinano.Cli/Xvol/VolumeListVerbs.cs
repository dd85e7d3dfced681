using System.CommandLine;
using Shinano.Cli.Xm;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>list and get.</summary>
internal static class VolumeListVerbs
{
    private static readonly string[] Columns = ["name", "used", "available", "referenced", "volsize", "origin"];

    public static void AddTo(Command root, XvolContext context)
    {
        Option<bool> exact = Verb.Flag("-p", "Exact numbers");
        Option<bool> bare = Verb.Flag("-H", "For programs: no headings, tabs between fields");
        Option<bool> json = Verb.Json();
        Option<string> types = new("-t") { Description = "volume, snapshot, pool, or all; several with commas", HelpName = "type", DefaultValueFactory = _ => "pool,volume" };
        Option<string> columns = new("-o") { Description = "Columns: name and the properties of 'get'", HelpName = "columns", DefaultValueFactory = _ => string.Join(',', Columns) };
        Argument<string[]> names = new("name") { HelpName = "name", Arity = ArgumentArity.ZeroOrMore, Description = "Pools, volumes, snapshots, with what is below them; all when none is given" };
        context.Add(root, "list", "Lists pools, volumes and snapshots.", [exact, bare, json, types, columns, names], async (result, token) =>
        {
            string[] wanted = result.GetRequiredValue(types).Split(',');
            if (wanted.FirstOrDefault(type => type is not ("pool" or "filesystem" or "volume" or "vol" or "snapshot" or "snap" or "all")) is { } unknown)
            {
                throw new VolumeException($"invalid type '{unknown}': volume, snapshot, pool or all");
            }

            string[] shown = [.. result.GetRequiredValue(columns).Split(',').Select(Column)];
            string[] given = result.GetValue(names) ?? [];
            IReadOnlyList<VolumeInfo> list = await FindAsync(context, given, result.GetValue(json) || shown.Contains("flatten"), token);

            // A snapshot that was named is shown whatever the types are.
            VolumeInfo[] rows = [.. list.Where(info => IsWanted(info, wanted) || given.Contains(info.Name))];
            if (result.GetValue(json))
            {
                await context.Environment.Output.WriteLineAsync(JsonText.Of(rows));
                return;
            }

            if (rows.Length == 0)
            {
                await context.Environment.Error.WriteLineAsync("no datasets available");
                return;
            }

            await context.Environment.Output.WriteAsync(VolumeText.Table(
                [.. shown.Select(VolumeText.Heading)],
                [.. rows.Select(info => shown.Select(column => VolumeText.Value(info, column, result.GetValue(exact))).ToArray())],
                index => shown[index] is "used" or "available" or "referenced" or "volsize" or "layers" or "flatten" or "quota",
                result.GetValue(bare)));
        });
        AddGet(root, context);
    }

    private static void AddGet(Command root, XvolContext context)
    {
        Option<bool> exact = Verb.Flag("-p", "Exact numbers");
        Option<bool> bare = Verb.Flag("-H", "For programs: no headings, tabs between fields");
        Option<bool> json = Verb.Json();
        Argument<string> property = new("property") { HelpName = "property", Description = $"all, or of {string.Join(", ", VolumeText.Properties)}; several with commas" };
        property.CompletionSources.Add([.. VolumeText.Properties, "all"]);
        Argument<string[]> names = new("name") { HelpName = "name", Arity = ArgumentArity.OneOrMore, Description = "Pools, volumes, snapshots" };
        context.Add(root, "get", "Shows properties.", [exact, bare, json, property, names], async (result, token) =>
        {
            string[] asked = result.GetRequiredValue(property) is "all" ? [.. VolumeText.Properties] : [.. result.GetRequiredValue(property).Split(',').Select(Column)];
            string[] given = result.GetRequiredValue(names);
            VolumeInfo[] found = [.. (await FindAsync(context, given, asked.Contains("flatten"), token)).Where(info => given.Contains(info.Name))];
            List<string[]> rows =
            [
                .. from info in found
                   from name in asked
                   let value = VolumeText.Value(info, name, result.GetValue(exact))
                   where asked.Length < VolumeText.Properties.Count || value != "-"
                   select new[] { info.Name, name, value },
            ];
            if (result.GetValue(json))
            {
                await context.Environment.Output.WriteLineAsync(JsonText.Of(
                    rows.GroupBy(row => row[0]).ToDictionary(group => group.Key, group => group.ToDictionary(row => row[1], row => row[2]))));
                return;
            }

            await context.Environment.Output.WriteAsync(VolumeText.Table(["NAME", "PROPERTY", "VALUE"], rows, _ => false, result.GetValue(bare)));
        });
    }

    /// <param name="progress">Tell how far domains are that flatten volumes: needs xend.</param>
    private static async Task<IReadOnlyList<VolumeInfo>> FindAsync(XvolContext context, string[] names, bool progress, CancellationToken cancellationToken)
    {
        IReadOnlyList<VolumeInfo> found = await FindAsync(context, names, cancellationToken);
        return progress ? await FlattenVerb.AddProgressAsync(context, found, cancellationToken) : found;
    }

    /// <summary>All pools' lists, or the parts that names ask for.</summary>
    private static async Task<IReadOnlyList<VolumeInfo>> FindAsync(XvolContext context, string[] names, CancellationToken cancellationToken)
    {
        List<VolumeInfo> found = [];
        if (names.Length == 0)
        {
            foreach (string pool in context.Pools.Names())
            {
                found.AddRange(await context.Pools.Get(pool).ListAsync(cancellationToken));
            }

            return found;
        }

        foreach (string text in names)
        {
            VolumeName name = VolumeName.Parse(text);
            VolumeInfo[] part =
            [
                .. (await context.PoolOf(name).ListAsync(cancellationToken)).Where(info => info.Name == text
                    || info.Name.StartsWith($"{text}/", StringComparison.Ordinal) || info.Name.StartsWith($"{text}@", StringComparison.Ordinal)),
            ];
            found.AddRange(part.Length > 0 ? part : throw new VolumeException($"cannot open '{text}': dataset does not exist"));
        }

        return [.. found.DistinctBy(info => info.Name)];
    }

    private static bool IsWanted(VolumeInfo info, string[] types) => types.Any(type => type switch
    {
        "all" => true,
        "filesystem" => info.Type == "pool",
        "vol" => info.Type == "volume",
        "snap" => info.Type == "snapshot",
        _ => info.Type == type,
    });

    private static string Column(string name) => name switch
    {
        "avail" => "available",
        "refer" => "referenced",
        "name" => name,
        _ => VolumeText.Properties.Contains(name) ? name : throw new VolumeException($"invalid property '{name}': name, {string.Join(", ", VolumeText.Properties)}"),
    };
}
