using System.Diagnostics;
using Shinano.Control.GuestPackages;

namespace Shinano.Guests;

/// <summary>
/// Debian's gdb with the libraries it needs, from the package cache, as files of a ramdisk; and the same files run on the host, whose answers are the
/// right ones.
/// </summary>
internal sealed class GdbFiles
{
    private const string LibraryDirectory = "/lib/x86_64-linux-gnu/";
    private const string LoaderPath = "/lib64/ld-linux-x86-64.so.2";

    // Debian 13 renamed some for its 64-bit time_t; the first that exists is taken.
    private static readonly string[][] Packages =
    [
        ["libc6"], ["libexpat1"], ["libgcc-s1"], ["libgmp10"], ["libmpfr6"], ["libipt2"], ["liblzma5"], ["libreadline8", "libreadline8t64"], ["libstdc++6"],
        ["libtinfo6"], ["libxxhash0"], ["libzstd1"], ["zlib1g"],
    ];

    private readonly Dictionary<string, string> libraries;
    private readonly string gdb;
    private readonly string target;
    private readonly string commands;

    private GdbFiles(string gdb, Dictionary<string, string> libraries, string target, string commands)
    {
        this.gdb = gdb;
        this.libraries = libraries;
        this.target = target;
        this.commands = commands;
    }

    /// <summary>The guest's command: gdb's words on the target.</summary>
    public static string Script => "gdb -nx -batch -x /opt/gdb_commands /opt/gdb_target < /dev/null";

    /// <summary>Fetches and builds; skips the test when something cannot be had.</summary>
    /// <param name="directory">For what is built.</param>
    public static async Task<GdbFiles> PrepareAsync(string directory, CancellationToken cancellation)
    {
        var sources = Path.Combine(AppContext.BaseDirectory, "guest");
        var target = Path.Combine(directory, "gdb_target");
        var stub = Path.Combine(directory, "libdebuginfod.so.1");
        await CompileAsync(["-O1", "-g", "-static", "-o", target, Path.Combine(sources, "gdb_target.c")], cancellation);
        await CompileAsync(
            ["-shared", "-fPIC", "-Wl,-soname,libdebuginfod.so.1", "-o", stub, Path.Combine(sources, "debuginfod_stub.c")], cancellation);
        var package = await FetchAsync(["gdb-minimal"], cancellation);
        Dictionary<string, string> libraries = new(StringComparer.Ordinal) { [Path.GetFileName(stub)] = stub };
        foreach (var names in Packages)
        {
            foreach (var (name, path) in LibrariesOf(await FetchAsync(names, cancellation)))
            {
                libraries.TryAdd(name, path);
            }
        }

        return new GdbFiles(Path.Combine(package.Directory, "usr/bin/gdb"), libraries, target, Path.Combine(sources, "gdb_commands"));
    }

    public IReadOnlyList<RamdiskFile> ToRamdiskFiles() =>
    [
        Executable("/usr/bin/gdb", gdb),
        Executable("/opt/gdb_target", target),
        new RamdiskFile("/opt/gdb_commands", File.ReadAllBytes(commands)),
        .. libraries.Select(library => Executable(
            library.Key.StartsWith("ld-linux", StringComparison.Ordinal) ? LoaderPath : LibraryDirectory + library.Key, library.Value)),
    ];

    /// <summary>What the same gdb says here.</summary>
    /// <param name="directory">Gets the libraries under the names that the loader looks for.</param>
    public async Task<string> RunHereAsync(string directory, CancellationToken cancellation)
    {
        var library = Directory.CreateDirectory(Path.Combine(directory, "lib")).FullName;
        foreach (var (name, path) in libraries)
        {
            File.CreateSymbolicLink(Path.Combine(library, name), path);
        }

        var loader = libraries.First(pair => pair.Key.StartsWith("ld-linux", StringComparison.Ordinal)).Value;
        var (_, output) = await RunAsync(loader, ["--library-path", library, gdb, "-nx", "-batch", "-x", commands, target], cancellation);
        return output;
    }

    private static RamdiskFile Executable(string path, string source) => new(path, File.ReadAllBytes(source), Executable: true);

    /// <summary>Shared libraries by soname. Debian's packages link a soname to the file with the full version.</summary>
    private static IEnumerable<(string Name, string Path)> LibrariesOf(GuestPackage package) =>
        from directory in (string[])["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"]
        let whole = Path.Combine(package.Directory, directory)
        where Directory.Exists(whole)
        from path in Directory.EnumerateFiles(whole)
        let name = Path.GetFileName(path)
        let suffix = name.LastIndexOf(".so.", StringComparison.Ordinal)
        where suffix > 0 && name[(suffix + 4)..].All(char.IsAsciiDigit)
        select (name, path);

    private static async Task<GuestPackage> FetchAsync(string[] names, CancellationToken cancellation)
    {
        GuestPackageUnavailableException? missing = null;
        foreach (var name in names)
        {
            try
            {
                return await GuestRun.Cache.GetAsync(name, cancellation: cancellation);
            }
            catch (GuestPackageUnavailableException exception)
            {
                missing ??= exception;
            }
        }

        Assert.Skip(missing!.Message);
        throw missing;
    }

    private static async Task CompileAsync(string[] arguments, CancellationToken cancellation)
    {
        var (code, output) = await RunAsync("gcc", arguments, cancellation);
        Assert.SkipWhen(code == 127, "gcc was not found; install gcc and libc6-dev to build what gdb works on");
        Assert.True(code == 0, output);
    }

    private static async Task<(int Code, string Output)> RunAsync(string program, string[] arguments, CancellationToken cancellation)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["LC_ALL"] = "C";
        using Process process = new() { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return (127, $"{program} was not found");
        }

        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync(cancellation);
        var error = process.StandardError.ReadToEndAsync(cancellation);
        try
        {
            await process.WaitForExitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return (process.ExitCode, await output + await error);
    }
}
