using System.CommandLine;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Domains put aside in files: save and restore.</summary>
internal static class SaveVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddSave(root, environment);
        AddRestore(root, environment);
    }

    private static void AddSave(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> file = new("file") { Description = "Where to; a saved domain that is there is replaced" };
        Option<bool> checkpoint = Verb.Flag("--checkpoint", "Leave the domain running", "-c");
        Option<bool> paused = Verb.Flag("--paused", "Leave the domain, paused", "-p");
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "save", "Saves a domain to a file and ends it.", [domain, file, checkpoint, paused, json], async (result, xend, token) =>
        {
            SaveRequest request = new(Path.GetFullPath(result.GetRequiredValue(file)), result.GetValue(checkpoint), result.GetValue(paused));
            SaveResult saved = await xend.SaveAsync(result.GetRequiredValue(domain), request, token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(saved));
            }
            else
            {
                environment.WriteLine($"{saved.Path}: {(saved.Bytes + 0xFFFFF) >> 20} MiB, {saved.Pages} pages of memory");
            }
        });
    }

    private static void AddRestore(Command root, XmEnvironment environment)
    {
        Argument<string> file = new("file") { Description = "What xm save wrote; it stays" };
        Option<bool> console = Verb.Flag("--console", CreationVerbs.ConsoleHelp, "-c");
        Option<bool> paused = Verb.Flag("--paused", "Leave the domain paused", "-p");
        Option<bool> verbose = Verb.Flag("--verbose", "Show the stages", "-v");
        Option<bool> quiet = Verb.Flag("--quiet", "Print nothing but errors", "-q");
        Option<bool> json = Verb.Json();
        Verb.Add(
            root, environment, "restore", "Makes a domain of a saved one.", [file, console, paused, verbose, quiet, json], async (result, xend, token) =>
            {
                bool follow = result.GetValue(console);
                RestoreRequest request = new(Path.GetFullPath(result.GetRequiredValue(file)), follow || result.GetValue(paused));
                CreatedDomain domain;
                using (CreationProgress progress = new(environment, result.GetValue(verbose)))
                {
                    domain = await xend.RestoreAsync(request, progress.Observe, token);
                }

                return await CreationVerbs.ReportAsync(
                    environment, xend, domain, follow, result.GetValue(paused), result.GetValue(json), result.GetValue(quiet), token);
            });
    }
}
