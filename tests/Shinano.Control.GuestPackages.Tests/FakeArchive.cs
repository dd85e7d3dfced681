using Shinano.Control.GuestPackages.Apt;

namespace Shinano.Control.GuestPackages.Tests;

/// <summary>Plays apt-get, apt-cache and dpkg-deb: an archive of packages whose "unpacking" makes one file. Counts what it is asked.</summary>
internal sealed class FakeArchive : IProgramRunner
{
    private readonly Lock gate = new();

    /// <summary>Name to (version, depends).</summary>
    public Dictionary<string, (string Version, string Depends)> Packages { get; } = [];

    public List<string> Calls { get; } = [];

    public bool Offline { get; set; }

    public bool NotDebian { get; set; }

    public string? ExtractionError { get; set; }

    public Task<ProgramResult> RunAsync(
        string program, IReadOnlyList<string> arguments, string workingDirectory, Action<string>? onOutputLine, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            var plain = arguments.Where((argument, i) => argument != "-o" && argument != "-q" && (i == 0 || arguments[i - 1] != "-o")).ToArray();
            Calls.Add($"{program} {string.Join(' ', plain)}");
            return Task.FromResult(Run(program, plain, workingDirectory, onOutputLine));
        }
    }

    private ProgramResult Run(string program, string[] arguments, string directory, Action<string>? onLine)
    {
        switch (program)
        {
            case "apt-get" or "apt-cache" when NotDebian:
                return new ProgramResult(ProgramResult.NotFound, "", "No such file");
            case "apt-get" when Offline && arguments[^1] == "update":
                // As apt does: only warnings, and success.
                return new ProgramResult(0, "", "W: Failed to fetch http://archive.example/InRelease  Could not connect\nW: Some index files failed.\n");
            case "apt-get" when Offline:
                return new ProgramResult(100, "", "E: Failed to fetch\n");
            case "apt-cache" when Offline || !Packages.ContainsKey(arguments[^1]):
                return new ProgramResult(100, "", "E: No packages found\n");
            case "apt-cache":
                var (version, depends) = Packages[arguments[^1]];
                return new ProgramResult(
                    0, $"Package: {arguments[^1]}\nVersion: {version}\nDepends: {depends}\nSize: 1000\nDescription: x\n more\n\nPackage: other\n", "");
            case "apt-get" when arguments[0] == "download":
                var parts = arguments[1].Split('=');
                onLine?.Invoke("dlstatus:1:40.0000:Retrieving file 1 of 1");
                File.WriteAllText(Path.Combine(directory, $"{parts[0]}_{parts[1].Replace(":", "%3a", StringComparison.Ordinal)}_amd64.deb"), parts[0]);
                return new ProgramResult(0, "", "");
            case "dpkg-deb" when ExtractionError is not null:
                return new ProgramResult(2, "", ExtractionError);
            case "dpkg-deb":
                Directory.CreateDirectory(arguments[2]);
                File.WriteAllText(Path.Combine(arguments[2], "content"), File.ReadAllText(arguments[1]));
                return new ProgramResult(0, "", "");
            default:
                return new ProgramResult(0, "", "");
        }
    }
}
